# SPDX-License-Identifier: Apache-2.0
"""The guest that node tests run in: made, cached, booted.

Here: the Debian 13 image with its two stock kernels, what is built for it, and the boot.
One verb per module; `image`, `build`, `run` and `selftest` are runnable with `python3 -m`.
Not here: the tests themselves (`tests/node`), which know nothing of VMs.
Standard library only, so that `make demo` needs no virtual environment.
"""

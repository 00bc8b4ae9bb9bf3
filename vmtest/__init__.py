# SPDX-License-Identifier: Apache-2.0
"""The guest for the node tests: made, cached, booted.

This package has the Debian 13 image with its two stock kernels, the builds for it, and the boot.
Each module has one task. `image`, `build`, `run` and `selftest` can be run with `python3 -m`.
The tests themselves are in `tests/node`, and do not depend on virtual machines.
This package uses only the standard library, so that `make demo` needs no virtual environment.
"""

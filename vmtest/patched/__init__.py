# SPDX-License-Identifier: Apache-2.0
"""Kernels with the hook: Debian's source, our patches, and a configuration as small as the tests allow."""

# SPDX-License-Identifier: Apache-2.0
"""Kernels that carry the hook: Debian's source, our patches, and a configuration as small as the tests allow."""

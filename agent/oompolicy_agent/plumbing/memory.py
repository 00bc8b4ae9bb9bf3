# SPDX-License-Identifier: Apache-2.0
"""Return freed memory to the node."""

from __future__ import annotations

import ctypes
import gc

from oompolicy_agent.plumbing.libc import libc


def give_back() -> None:
    """Return freed memory after a burst of allocations, because glibc keeps it otherwise."""
    gc.collect()
    trim = getattr(libc(), "malloc_trim", None)
    if trim is not None:
        trim(ctypes.c_size_t(0))

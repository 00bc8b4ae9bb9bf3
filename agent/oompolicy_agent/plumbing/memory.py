# SPDX-License-Identifier: Apache-2.0
"""Gives memory that was needed for a moment back to the node."""

from __future__ import annotations

import ctypes
import gc


def give_back() -> None:
    """After a burst of allocations: glibc keeps what is freed to itself otherwise."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(ctypes.c_size_t(0))

# SPDX-License-Identifier: Apache-2.0
"""Call functions of the C library that Python does not offer."""

from __future__ import annotations

import ctypes
import os
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


@cache
def libc() -> ctypes.CDLL:
    """Return the C library."""
    return ctypes.CDLL(None, use_errno=True)


def last_error(subject: Path | str) -> OSError:
    """Return the error of this thread's last failed call through ctypes. `subject` is the object of the call."""
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number), str(subject))


def filesystem_magic(path: Path) -> int:
    """Return the magic number (include/uapi/linux/magic.h) of the file system at `path`. OSError if unreadable."""
    buffer = (ctypes.c_long * 32)()  # struct statfs starts with a long f_type and is below 256 bytes
    if libc().statfs(os.fsencode(path), buffer) != 0:
        raise last_error(path)
    return buffer[0]

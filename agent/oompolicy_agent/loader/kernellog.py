# SPDX-License-Identifier: Apache-2.0
"""The kernel's log, for the reason that a system call does not give.

By syslog(2) and not from /dev/kmsg, which no container that is not privileged altogether may open.
"""

from __future__ import annotations

import ctypes
import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_READ_ALL, _SIZE_BUFFER = 3, 10  # include/linux/syslog.h
_HEAD: Final = re.compile(r"^<\d+>(?:\[[ \d.]+\](?:\[ *[TC]\d+\])? )?")
"""Level, and by the kernel's configuration time and caller."""


def lines() -> tuple[str, ...]:
    """All that it has kept, the oldest first; nothing where the log is closed to us (SYSLOG)."""
    libc = ctypes.CDLL(None)
    size = libc.klogctl(_SIZE_BUFFER, None, 0)
    if size <= 0:
        return ()
    buffer = ctypes.create_string_buffer(size)
    length = libc.klogctl(_READ_ALL, buffer, size)
    return tuple(buffer.raw[: max(length, 0)].decode(errors="replace").splitlines())


def said(module: str, logged: Iterable[str]) -> tuple[str, ...]:
    """The words of a module, the oldest first."""
    prefix = f"{module}: "
    texts = (_HEAD.sub("", line) for line in logged)
    # That a module taints the kernel is said of every one from outside the tree, and no reason for anything.
    return tuple(text.removeprefix(prefix) for text in texts if text.startswith(prefix) and "taint" not in text)

# SPDX-License-Identifier: Apache-2.0
"""Watch folders with inotify(7) through ctypes. inotify_simple would be one more package in the image for 70 lines."""

from __future__ import annotations

import ctypes
import os
import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from oompolicy_agent.plumbing.libc import last_error, libc

if TYPE_CHECKING:
    from pathlib import Path

CLOSE_WRITE: Final = 0x8
MOVED_FROM: Final = 0x40
MOVED_TO: Final = 0x80
CREATE: Final = 0x100
DELETE: Final = 0x200
DELETE_SELF: Final = 0x400
MOVE_SELF: Final = 0x800
UNMOUNT: Final = 0x2000
Q_OVERFLOW: Final = 0x4000
IGNORED: Final = 0x8000
ONLYDIR: Final = 0x0100_0000

_HEADER: Final = struct.Struct("iIII")
_ROOM: Final = 65_536


class Change(NamedTuple):
    """One event. `name` is empty for an event of the watched folder itself or of the queue."""

    wd: int
    mask: int
    name: str


class Inotify:
    """An inotify instance that never blocks."""

    def __init__(self) -> None:
        """Raise OSError (EMFILE) if the user has no instance left."""
        self.fd = self._checked(libc().inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC), "inotify")

    def add(self, path: Path, mask: int) -> int:
        """Watch a folder. Return the number of the watch, which is the same for the same folder."""
        return self._checked(libc().inotify_add_watch(self.fd, os.fsencode(path), ctypes.c_uint32(mask)), str(path))

    def remove(self, wd: int) -> None:
        """End a watch. A watch that already ended is no error."""
        libc().inotify_rm_watch(self.fd, wd)

    def read(self) -> list[Change]:
        """Return all queued changes."""
        try:
            data = os.read(self.fd, _ROOM)
        except BlockingIOError:
            return []
        changes, at = [], 0
        while at < len(data):
            wd, mask, _, length = _HEADER.unpack_from(data, at)
            name = data[at + _HEADER.size : at + _HEADER.size + length].rstrip(b"\0")
            changes.append(Change(wd, mask, os.fsdecode(name)))
            at += _HEADER.size + length
        return changes

    def close(self) -> None:
        """End all watches."""
        os.close(self.fd)

    @staticmethod
    def _checked(result: int, what: str) -> int:
        if result < 0:
            raise last_error(what)
        return result

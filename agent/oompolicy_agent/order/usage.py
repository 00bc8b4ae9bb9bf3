# SPDX-License-Identifier: Apache-2.0
"""Read the memory of one cgroup."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

_GONE: Final = {errno.ENOENT, errno.ENODEV}
_FREED: Final = ("anon", "shmem")
"""The lines of memory.stat with memory that only the end of the processes frees. Caches are reclaimed before an OOM."""


class Usage(NamedTuple):
    """The memory of a cgroup in bytes: the part that a kill frees, and all that the kernel charges to it."""

    freed: int
    charged: int


def usage_of(cgroup: Path) -> Usage | None:
    """Return the memory of a cgroup, or None if it has no process or no longer exists. Raise OSError otherwise."""
    try:
        if "populated 0" in _text(cgroup, "cgroup.events").splitlines():
            return None
        stat = dict(line.split() for line in _text(cgroup, "memory.stat").splitlines())
        charged = int(_text(cgroup, "memory.current"))
    except OSError as error:
        if error.errno in _GONE:
            return None
        raise
    return Usage(sum(int(stat.get(name, 0)) for name in _FREED) + _swap(cgroup), charged)


def dies_as_a_whole(cgroup: Path) -> bool:
    """Return True if the kernel kills all processes of the cgroup together. A cgroup that is gone has none.

    Raise OSError if the cgroup cannot be read.
    """
    try:
        return int(_text(cgroup, "memory.oom.group")) == 1
    except OSError as error:
        if error.errno in _GONE:
            return False
        raise


def _swap(cgroup: Path) -> int:
    try:
        return int(_text(cgroup, "memory.swap.current"))
    except OSError as error:
        # A kernel without swap accounting has no such file.
        if error.errno in _GONE:
            return 0
        raise


def _text(cgroup: Path, name: str) -> str:
    return (cgroup / name).read_text(encoding="ascii")

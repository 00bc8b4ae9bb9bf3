# SPDX-License-Identifier: Apache-2.0
"""The memory of the node and of its pods: the kernel's totals for the badness, and the part that is left."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

MEMINFO: Final = Path("/proc/meminfo")

_PAGE: Final = os.sysconf("SC_PAGESIZE")
_RECLAIMABLE: Final = ("inactive_file", "active_file", "slab_reclaimable")


@dataclass(frozen=True, slots=True)
class Memory:
    """The memory of one scope, in pages. `total` is the kernel's totalpages (constrained_alloc() in mm/oom_kill.c)."""

    total: int
    left: int

    @property
    def share_left(self) -> float:
        """The part that is left, from 0 to 1."""
        return max(0.0, self.left / self.total)


def of_node(meminfo: Path = MEMINFO) -> Memory:
    """Return the memory of the whole node, with its swap."""
    kib = {name: int(value.split()[0]) for name, value in _fields(meminfo, ":")}
    pages = _PAGE // 1024
    return Memory(
        (kib["MemTotal"] + kib["SwapTotal"]) // pages,
        # Before Linux 3.14 there was no MemAvailable, and no cgroup v2 either.
        (kib["MemAvailable"] + kib["SwapFree"]) // pages,
    )


def of_cgroup(cgroup: Path, meminfo: Path = MEMINFO) -> Memory | None:
    """Return the memory of a cgroup with a limit, or None if it has no limit or no longer exists."""
    try:
        limit, swap_limit = (cgroup / "memory.max").read_text(), (cgroup / "memory.swap.max").read_text()
        current = int((cgroup / "memory.current").read_text())
        stat = {name: int(value) for name, value in _fields(cgroup / "memory.stat", " ")}
    except OSError:
        return None
    if limit.strip() == "max":
        return None
    swap = int(dict(_fields(meminfo, ":"))["SwapTotal"].split()[0]) * 1024
    allowed = swap if swap_limit.strip() == "max" else min(swap, int(swap_limit))
    used = current - sum(stat.get(name, 0) for name in _RECLAIMABLE)
    return Memory((int(limit) + allowed) // _PAGE, (int(limit) - used) // _PAGE)


def share_left(roots: Iterable[str]) -> float:
    """Return the smallest share that is left of the node's memory and of the memory of these cgroups."""
    limited = (of_cgroup(Path(root)) for root in roots)
    return min(found.share_left for found in (of_node(), *limited) if found)


def _fields(path: Path, separator: str) -> list[tuple[str, str]]:
    lines = path.read_text().splitlines()
    return [(name, value) for name, _, value in (line.partition(separator) for line in lines)]

# SPDX-License-Identifier: Apache-2.0
"""The memory of the node and of its pods: the kernel's totals for the badness, and the part that is left."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from oompolicy_agent.plumbing.files import content

if TYPE_CHECKING:
    from collections.abc import Iterable

MEMINFO: Final = Path("/proc/meminfo")
SWAPPINESS: Final = Path("/proc/sys/vm/swappiness")

_PAGE: Final = os.sysconf("SC_PAGESIZE")
_SWAP: Final = b"SwapTotal:"
_RECLAIMABLE: Final = (b"inactive_file ", b"active_file ", b"slab_reclaimable ")
_NUMBER: Final = 32
"""Each number ends within so many bytes after the name of its field."""


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
    text, pages = content(meminfo), _PAGE // 1024
    # Before Linux 3.14 there was no MemAvailable, and no cgroup v2 either.
    total = _number(text, b"MemTotal:") + _number(text, _SWAP)
    left = _number(text, b"MemAvailable:") + _number(text, b"SwapFree:")
    return Memory(total // pages, left // pages)


def of_cgroup(cgroup: Path, meminfo: Path = MEMINFO, swappiness: Path = SWAPPINESS) -> Memory | None:
    """Return the memory of a cgroup with a limit, or None if it has no limit or no longer exists.

    With vm.swappiness 0 the kernel leaves the swap out of the total, but not out of that of the node.
    """
    try:
        limit = content(f"{cgroup}/memory.max")
        if limit.strip() == b"max":
            return None
        swap_limit, current = content(f"{cgroup}/memory.swap.max"), int(content(f"{cgroup}/memory.current"))
        stat = content(f"{cgroup}/memory.stat")
    except OSError:
        return None
    swap = _number(content(meminfo), _SWAP) * 1024
    allowed = swap if swap_limit.strip() == b"max" else min(swap, int(swap_limit))
    if int(content(swappiness)) == 0:
        allowed = 0
    used = current - sum(_number(stat, name) for name in _RECLAIMABLE)
    return Memory((int(limit) + allowed) // _PAGE, (int(limit) - used) // _PAGE)


def share_left(roots: Iterable[str]) -> float:
    """Return the smallest share that is left of the node's memory and of the memory of these cgroups."""
    limited = (of_cgroup(Path(root)) for root in roots)
    return min(found.share_left for found in (of_node(), *limited) if found)


def _number(text: bytes, name: bytes) -> int:
    """Return the number in the line that begins with `name`, or 0 if there is no such line."""
    at = 0 if text.startswith(name) else text.find(b"\n" + name) + 1
    if not text.startswith(name, at):
        return 0
    begin = at + len(name)
    return int(text[begin : begin + _NUMBER].split(None, 1)[0])

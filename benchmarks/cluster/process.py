# SPDX-License-Identifier: Apache-2.0
"""The CPU seconds and the memory of a process, read from /proc."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

TICKS: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Memory:
    """The memory of a process in MiB."""

    rss: float
    private: float


def cpu_seconds(pid: int) -> float:
    """Return the user and system time of all threads since the process started."""
    # The second field is the command in brackets, and may hold anything.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory(pid: int) -> Memory:
    """Return the resident memory, and the part that no other process shares."""
    sizes = dict(re.findall(r"^(\w+):\s+(\d+) kB$", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE))
    private = int(sizes["Private_Clean"]) + int(sizes["Private_Dirty"])
    return Memory(int(sizes["Rss"]) / 1024, private / 1024)


def peak_mib(pid: int) -> float:
    """Return the largest resident memory so far."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


def held_by_go(profile: str) -> float:
    """Return the MiB on heap and stacks, from the end of a Go server's /debug/pprof/heap?gc=1&debug=1."""
    heap = re.search(r"^# HeapAlloc = (\d+)$", profile, re.MULTILINE)
    stacks = re.search(r"^# Stack = (\d+) / \d+$", profile, re.MULTILINE)
    if heap is None or stacks is None:
        raise ValueError("no heap profile with its MemStats")
    return (int(heap[1]) + int(stacks[1])) / (1 << 20)

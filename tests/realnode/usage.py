# SPDX-License-Identifier: Apache-2.0
"""A program's use of its node's CPU and memory, and the speed of that node."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Final

CGROUPS: Final = Path("/sys/fs/cgroup")


def usage(uid: str, program: str) -> dict[str, float]:
    """Return the CPU seconds of the container that runs `program` as `cpu`, and the node's clock as `at`.

    The dictionary also has the memory of the program's process in KiB, by the kernel's names in smaps_rollup.
    LookupError without such a process.
    """
    for cgroup in CGROUPS.glob(f"kubepods/**/pod{uid}/*/"):
        for pid in (cgroup / "cgroup.procs").read_text().split():
            if program in Path("/proc", pid, "cmdline").read_text():
                return {"at": time.monotonic(), "cpu": cpu_seconds(cgroup), **memory(pid)}
    raise LookupError(f"no process of pod {uid} runs {program}")


def cpu_seconds(cgroup: Path) -> float:
    """Return the scheduler's own count, which is finer than a process's clock ticks."""
    counts = dict(line.split() for line in (cgroup / "cpu.stat").read_text().splitlines())
    return int(counts["usage_usec"]) / 1e6


def memory(pid: str) -> dict[str, float]:
    """Return the memory of a process in KiB."""
    lines = Path("/proc", pid, "smaps_rollup").read_text().splitlines()[1:]
    return {line.split(":")[0]: int(line.split()[1]) for line in lines}


def python_seconds(turns: int = 2000) -> float:
    """Return the CPU seconds of a piece of work in Python. This value compares the speed of two machines."""
    pod = {"metadata": {"labels": {str(number): "x" * number for number in range(50)}}}
    begun = time.process_time()
    for _ in range(turns):
        json.loads(json.dumps(pod))
    return time.process_time() - begun

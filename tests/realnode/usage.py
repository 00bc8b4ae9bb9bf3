# SPDX-License-Identifier: Apache-2.0
"""What a pod's program takes of its node, and how fast that node is."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Final

CGROUPS: Final = Path("/sys/fs/cgroup")


def usage(uid: str, program: str) -> dict[str, float]:
    """Of the container that runs `program`: its CPU seconds as `cpu`, `at` a second of the node's clock.

    And the memory of the program's process in KiB, by the kernel's names in smaps_rollup. LookupError without one.
    """
    for cgroup in CGROUPS.glob(f"kubepods/**/pod{uid}/*/"):
        for pid in (cgroup / "cgroup.procs").read_text().split():
            if program in Path("/proc", pid, "cmdline").read_text():
                return {"at": time.monotonic(), "cpu": cpu_seconds(cgroup), **memory(pid)}
    raise LookupError(f"no process of pod {uid} runs {program}")


def cpu_seconds(cgroup: Path) -> float:
    """By the scheduler's own count, which is finer than a process's clock ticks."""
    counts = dict(line.split() for line in (cgroup / "cpu.stat").read_text().splitlines())
    return int(counts["usage_usec"]) / 1e6


def memory(pid: str) -> dict[str, float]:
    """KiB."""
    lines = Path("/proc", pid, "smaps_rollup").read_text().splitlines()[1:]
    return {line.split(":")[0]: int(line.split()[1]) for line in lines}


def python_seconds(turns: int = 2000) -> float:
    """CPU seconds that a piece of work in Python takes here: by it two machines can be compared."""
    pod = {"metadata": {"labels": {str(number): "x" * number for number in range(50)}}}
    begun = time.process_time()
    for _ in range(turns):
        json.loads(json.dumps(pod))
    return time.process_time() - begun

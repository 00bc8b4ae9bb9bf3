# SPDX-License-Identifier: Apache-2.0
"""Brings the whole guest to the end of its memory, and reads from the kernel's log who paid for it."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.node.hog import STEP_MIB, Hog, KernelLog, oom_kills

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

TOLD_EVERY_MIB: Final = 20


class NoShortageError(Exception):
    """Nobody was killed although all memory should have been taken."""


def meminfo_mib(name: str) -> int:
    """One figure of /proc/meminfo."""
    found = re.search(rf"^{name}: +(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    if not found:
        raise KeyError(name)
    return int(found[1]) // 1024


def grow_until_oom(hog: Hog, tell: Callable[[int], None]) -> tuple[str, ...]:
    """The kernel's log of the OOM, up to the last death that the kernel has counted."""
    before = oom_kills()
    with closing(KernelLog()) as log:
        for grown in range(STEP_MIB, 2 * meminfo_mib("MemTotal"), STEP_MIB):
            if not hog.grow(STEP_MIB) or oom_kills() > before:
                return _lines(log, oom_kills() - before)
            if grown % TOLD_EVERY_MIB == 0:
                tell(hog.mib)
    raise NoShortageError(f"{hog!r} grew and nobody was killed")


def victims(lines: tuple[str, ...], pids: Mapping[int, str]) -> tuple[str, ...]:
    """Names of the dead, each once, in the kernel's order; who is not in `pids` is named as the kernel does."""
    found = [re.search(r"Killed process (\d+) \((.*?)\)", line) for line in lines]
    return tuple(dict.fromkeys(pids.get(int(each[1]), each[2]) for each in found if each))


def _lines(log: KernelLog, deaths: int) -> tuple[str, ...]:
    lines: list[str] = []
    while deaths:
        lines.append(log.line())
        deaths -= "Killed process" in lines[-1]
    return tuple(lines)


def oom_score(pid: int) -> int:
    """The kernel's own badness of a process, scaled."""
    return int(Path(f"/proc/{pid}/oom_score").read_text())

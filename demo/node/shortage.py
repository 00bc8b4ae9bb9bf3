# SPDX-License-Identifier: Apache-2.0
"""Brings the whole guest to the end of its memory, and reads the victims from the kernel's log."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.node.hog import STEP_MIB, Hog, KernelLog, oom_kills

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

REPORT_EVERY_MIB: Final = 20


class NoShortageError(Exception):
    """The kernel killed no process although all memory should have been used."""


def meminfo_mib(name: str) -> int:
    """Return one value of /proc/meminfo in MiB."""
    found = re.search(rf"^{name}: +(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    if not found:
        raise KeyError(name)
    return int(found[1]) // 1024


def grow_until_oom(hog: Hog, report: Callable[[int], None]) -> tuple[str, ...]:
    """Return the kernel's log of the OOM, up to the last death that the kernel has counted."""
    before = oom_kills()
    with closing(KernelLog()) as log:
        for grown in range(STEP_MIB, 2 * meminfo_mib("MemTotal"), STEP_MIB):
            if not hog.grow(STEP_MIB) or oom_kills() > before:
                return _lines(log, oom_kills() - before)
            if grown % REPORT_EVERY_MIB == 0:
                report(hog.mib)
    raise NoShortageError(f"{hog!r} grew and nobody was killed")


def victims(lines: tuple[str, ...], pids: Mapping[int, str]) -> tuple[str, ...]:
    """Return the names of the dead, each once, in the kernel's order.

    A pid that is not in `pids` has the kernel's name.
    """
    found = [re.search(r"Killed process (\d+) \((.*?)\)", line) for line in lines]
    return tuple(dict.fromkeys(pids.get(int(each[1]), each[2]) for each in found if each))


def _lines(log: KernelLog, deaths: int) -> tuple[str, ...]:
    lines: list[str] = []
    while deaths:
        lines.append(log.line())
        deaths -= "Killed process" in lines[-1]
    return tuple(lines)


def oom_score(pid: int) -> int:
    """Return the kernel's own badness of a process, scaled."""
    return int(Path(f"/proc/{pid}/oom_score").read_text())

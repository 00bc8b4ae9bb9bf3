# SPDX-License-Identifier: Apache-2.0
"""A machine with cgroups and processes, an oom_score_adj as the kernel has it, and an adjuster that can crash."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from oompolicy_agent.adjuster.enforcer import Enforcer
from oompolicy_agent.adjuster.group import Group, Process, ProcessId
from oompolicy_agent.adjuster.originals import Originals

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

BOOT = "5d4e7f0c"


class CrashError(Exception):
    """The adjuster was killed here."""


@dataclass
class Running:
    """A process. `original` is the value that it would have without an adjuster."""

    id: ProcessId
    parent: int
    cgroup: int
    score: int
    original: int
    usage: int


class Machine:
    """The processes, the values that the runtime gives, and the points at which the adjuster crashes or one forks."""

    def __init__(self) -> None:
        self.processes: dict[int, Running] = {}
        self.priorities: dict[int, int] = {}
        self.values: dict[int, int] = {}
        self.crash_in = -1
        self.fork_in = -1
        self._last_pid = 100

    def start(self, cgroup: int, value: int, usage: int, parent: int = 1) -> Running:
        """Start a process as a container runtime does."""
        return self._add(parent, cgroup, value, value, usage)

    def fork(self, parent: Running) -> Running:
        return self._add(parent.id.pid, parent.cgroup, parent.score, parent.original, parent.usage)

    def is_mixed(self, cgroup: int) -> bool:
        """Return True if a process of the cgroup has another value than the runtime gave."""
        return any(each.original != self.values[cgroup] for each in self.processes.values() if each.cgroup == cgroup)

    def groups(self, cgroups: Iterable[int]) -> list[Group]:
        """Look at the groups of these cgroups."""
        found = []
        for cgroup in cgroups:
            members = [each for each in self.processes.values() if each.cgroup == cgroup]
            processes = tuple(Process(each.id, each.parent, each.score, each.usage) for each in members)
            if processes:
                found.append(Group(cgroup, self.priorities[cgroup], processes))
        return found

    def write(self, process: Process, score: int, /) -> bool:
        self.point()
        running = self.processes[process.id.pid]
        if self.fork_in == 0 and not self.is_mixed(running.cgroup):
            self.fork(running)
        self.fork_in -= 1
        running.score = score
        self.point()
        return True

    def point(self) -> None:
        """Crash here if it is time."""
        self.crash_in -= 1
        if self.crash_in == -1:
            raise CrashError

    def write_atomic(self, path: Path, data: bytes) -> None:
        """Replace a file. A crash leaves the earlier file, half of a temporary one, or the new file."""
        self.point()
        temporary = path.with_name(f".{path.name}.tmp")
        temporary.write_bytes(data[: len(data) // 2])
        self.point()
        temporary.write_bytes(data)
        temporary.replace(path)
        self.point()

    def _add(self, parent: int, cgroup: int, score: int, original: int, usage: int) -> Running:
        self._last_pid += 1
        process = ProcessId(self._last_pid, 10 * self._last_pid)
        made = Running(process, parent, cgroup, score, original, usage)
        self.processes[process.pid] = made
        return made


def adjuster(machine: Machine, path: Path, boot: str = BOOT) -> Enforcer:
    """Start an adjuster, as after a crash."""
    return Enforcer(Originals(path, boot), machine.write)

# SPDX-License-Identifier: Apache-2.0
"""An adjuster as it runs on a node, and one that looks when the test says so."""

from __future__ import annotations

import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from oompolicy_agent.adjuster import look, wanted
from oompolicy_agent.adjuster.enforcer import Enforcer
from oompolicy_agent.adjuster.originals import Originals
from oompolicy_agent.adjuster.processes import Processes
from oompolicy_agent.adjuster.wanted import Wanted
from tests.node.cgroup import ROOT, Cgroup
from tests.node.hog import Hog
from tests.node.running_agent import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from oompolicy_agent.adjuster.solver import Solution
    from oompolicy_agent.adjuster.wanted import Mode

HOST_PRIORITY = 1000


def score(pid: int) -> int:
    return int(Path(f"/proc/{pid}/oom_score_adj").read_text())


def all_scores() -> dict[int, int]:
    """Return the oom_score_adj of every process of this machine."""
    found = {}
    for path in Path("/proc").iterdir():
        if path.name.isdecimal():
            try:
                found[int(path.name)] = score(int(path.name))
            except (FileNotFoundError, ProcessLookupError):
                continue
    return found


class RunningAdjuster:
    """The program. A test calls `start` and `kill` as often as it needs."""

    def __init__(self, folder: Path) -> None:
        self.run_dir, self.state, self.log = folder / "run", folder / "state", folder / "adjuster.log"
        self.run_dir.mkdir()
        self.confinement: tuple[str, ...] = ()
        """The command that runs the program, in front of its own."""
        self.program: tuple[str, ...] = ("-m", "oompolicy_agent.adjuster")
        self.process: subprocess.Popen[bytes] | None = None

    def command(self, *arguments: str) -> list[str]:
        folders = ("--run-dir", str(self.run_dir), "--state-dir", str(self.state))
        return [*self.confinement, sys.executable, *self.program, *folders, *arguments]

    def start(self) -> None:
        """Start the program, and wait until it runs."""
        before = self.lines("running")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command(), stderr=log, stdout=log)
        wait_until("the adjuster's start", lambda: self.lines("running") > before)

    def lines(self, sentence: str) -> int:
        """Return how often the log has a sentence so far."""
        return self.log.read_text().count(f" {sentence}\n") if self.log.exists() else 0

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send the signal, and wait for the end."""
        if self.process:
            self.process.send_signal(number)
            self.process.wait()
            self.process = None

    def want(
        self,
        mode: Mode,
        priorities: Mapping[Cgroup, int],
        kill_groups: Mapping[int, bool] = MappingProxyType({}),
        host_priority: int = HOST_PRIORITY,
    ) -> None:
        cgroups = {cgroup.id: priority for cgroup, priority in priorities.items()}
        wanted.write(self.run_dir / "wanted.json", Wanted(mode, host_priority, cgroups, kill_groups))


class Scores:
    """The core of the adjuster without its loop: priorities to set, and one look whenever the test needs it."""

    def __init__(self, folder: Path, scope: str) -> None:
        self._processes = Processes()
        self._enforcer = Enforcer(Originals(folder / "originals.json", "this boot"), self._processes.write)
        self._scope = scope
        self.entries: dict[int, int] = {}

    def close(self) -> None:
        self._processes.keep(())

    def clear(self) -> None:
        self.entries.clear()

    def set(self, priorities: Mapping[Cgroup, int]) -> None:
        self.entries |= {cgroup.id: priority for cgroup, priority in priorities.items()}

    def look(self) -> Solution:
        """Bring all processes to their scores for an OOM of the scope."""
        found = look.take(ROOT, self._processes, Wanted("Enforce", HOST_PRIORITY, self.entries))
        scopes = [scope for scope in found.scopes if scope.name == self._scope]
        solution = self._enforcer.enforce(found.wanted, scopes, HOST_PRIORITY)
        self._enforcer.forget_all_but((*found.wanted, *found.others), found.cgroups)
        return solution


class LookedAt(Hog):
    """A process that grows in steps, with a look before each of them."""

    def __init__(self, scores: Scores, cgroup: Cgroup, mib: int) -> None:
        self._scores = scores
        super().__init__(cgroup, mib)

    def ask_to_grow(self, mib: int) -> None:
        self._scores.look()
        super().ask_to_grow(mib)


def is_ordered(hogs: Iterable[Hog], total_pages: int) -> bool:
    """Return True if each process has a larger badness than the next one, by the lines of its status."""
    points = [usage(hog.pid) + score(hog.pid) * (total_pages // 1000) for hog in hogs]
    return all(one > other for one, other in pairwise(points))


def usage(pid: int) -> int:
    """Return the pages that the kernel counts for the badness."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return sum(int(fields[name].split()[0]) // 4 for name in ("VmRSS", "VmSwap", "VmPTE"))

# SPDX-License-Identifier: Apache-2.0
"""Let a container grow faster than the adjuster looks, and note which one dies: `python3 -m benchmarks.raceguest`.

Each level of priority has one container. The one of the second lowest priority grows until the node is out of memory.
It has the shortest way: it only has to pass the lowest priority, which is the right victim, by the margin.
"""

from __future__ import annotations

import argparse
import random
import re
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.races import CASES, Case, Race, Races
from oompolicy_agent.adjuster import memory, report
from oompolicy_agent.plumbing.paths import ADJUSTER_REPORT
from tests.node.hog import Hog, KernelLog
from tests.node.machine import Node, pin_this_process
from tests.node.running_adjuster import RunningAdjuster, is_ordered
from tests.node.running_agent import wait_until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.node.cgroup import Cgroup

RESULT: Final = Path("/artifacts/races.json")
FOLDER: Final = Path("/run/races")
SIZE_MIB: Final = 4
SECONDS_AHEAD: Final = 6.0
"""A race begins when the grower needs about this time until the node is out of memory, but with no less than 30 % and
no more than 60 % of the memory left: a slow race is no longer than it has to be."""
PAGES_PER_MIB: Final = 256
KILLED: Final = re.compile(r"Killed process (\d+) \(.*?anon-rss:(\d+)kB")


class Track:
    """The containers of one number of levels, from the lowest priority to the highest, and the adjuster."""

    def __init__(self, node: Node, stack: ExitStack, case: Case) -> None:
        self.node, self.case = node, case
        names = [f"kubepods/pod-{number}/container" for number in range(case.levels)]
        self.cgroups = [node.cgroup(name) for name in names]
        self.hogs = [self.start(cgroup) for cgroup in self.cgroups]
        # A node has processes of the host with 0, which the levels must stay above. Those of this guest have -1000.
        node.hog(node.cgroup("system.slice/sshd.service"), SIZE_MIB, adj=0)
        folder = FOLDER / f"{case.levels}-{case.growth}-{case.pause}"
        folder.mkdir(parents=True)
        self.adjuster = RunningAdjuster(folder)
        if case.pause is not None:
            self.adjuster.program = ("-m", "benchmarks.fixedpace", str(case.pause))
        stack.callback(self.adjuster.kill)
        self.asked = 0
        self.ask()
        self.adjuster.start()

    def start(self, cgroup: Cgroup) -> Hog:
        """Start the process of a container, with the kubelet's value for a pod of the class Burstable."""
        return self.node.hog(cgroup, SIZE_MIB, adj=990)

    def ask(self) -> None:
        """Change the request, so that the adjuster looks now. A cgroup without processes has another priority."""
        self.asked += 1
        priorities = {cgroup: 100 + 80 * number for number, cgroup in enumerate(self.cgroups)}
        self.adjuster.want("Enforce", {**priorities, self.node.cgroup("kubepods"): 900 + self.asked % 2})

    def race(self, rng: random.Random) -> Race:
        """Let one container grow until the first kill, and repair the track."""
        total = memory.of_node().total
        left = min(0.6, max(0.3, SECONDS_AHEAD * self.case.growth / 100))
        missing = int((memory.share_left(()) - left) * total) // PAGES_PER_MIB
        grower = self.hogs[1]
        if missing > 0:
            grower.grow(missing)
        self.ask()
        wait_until("the order", lambda: is_ordered(self.hogs, total))
        margin = 100 * (report.read(self.adjuster.state / ADJUSTER_REPORT).margin or 0) / (total * 4096)
        # The growth begins at any moment between two checks of the adjuster.
        time.sleep(rng.uniform(0, 1))
        speed = total // PAGES_PER_MIB * self.case.growth // 100
        before = resident_kib(grower.pid)
        with closing(KernelLog()) as log:
            started = time.monotonic()
            grower.pour(speed, total // PAGES_PER_MIB)
            pid, kib = first_kill(log)
            seconds = time.monotonic() - started
        after = kib if pid == grower.pid else resident_kib(grower.pid)
        grower.end()
        victim = {self.hogs[0].pid: "right", grower.pid: "wrong"}.get(pid, "third")
        for number, hog in enumerate(self.hogs):
            if hog.pid == pid or not hog.alive:
                hog.end()
                self.hogs[number] = self.start(self.cgroups[number])
        self.ask()
        growth = 100 * (after - before) / seconds / (total * 4)
        return Race(self.case, victim, growth, margin)


def first_kill(log: KernelLog) -> tuple[int, int]:
    """Return the pid and the anonymous memory in KiB of the next process that the kernel kills."""
    while True:
        if found := KILLED.search(log.line()):
            return int(found[1]), int(found[2])


def resident_kib(pid: int) -> int:
    """Return the resident memory of a process."""
    found = re.search(r"^VmRSS:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    return int(found[1]) if found else 0


def main(arguments: Sequence[str] | None = None) -> None:
    """Run all races, and write the results into a file for the host."""
    parser = argparse.ArgumentParser(prog="python3 -m benchmarks.raceguest", description=__doc__)
    parser.add_argument("--races", type=int, default=10, help="per case")
    parser.add_argument("--goal-races", type=int, default=100, help="per case that the goal is for")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    rng = random.Random(options.seed)  # noqa: S311 (moments, not secrets)
    pin_this_process()
    results = Races()
    for case in CASES:
        with ExitStack() as stack:
            track = Track(Node(stack), stack, case)
            for _ in range(options.goal_races if case.is_goal else options.races):
                results.races.append(track.race(rng))
            say(results.row(case))
            results.write(RESULT)


def say(text: str) -> None:
    """Print one line of progress."""
    print(f"bench: {text}", flush=True)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""Measure selections in a guest, and kill processes of it: `python3 -m benchmarks.guest`.

Variants take turns within one boot, so that other load on the host affects all of them.
"""

from __future__ import annotations

import argparse
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.crowd import Crowd
from benchmarks.samples import Answers, Run, Sample
from benchmarks.scopes import SCOPES
from benchmarks.stopwatch import Stopwatch
from benchmarks.variants import VARIANTS, Policy

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.scopes import Scope

RESULT = Path("/artifacts/benchmark.json")


@dataclass
class Benchmark:
    """The state of one run."""

    crowd: Crowd
    stopwatch: Stopwatch
    rounds: int
    kills: int
    started: float
    samples: list[Sample] = field(default_factory=list)
    answers: list[Answers] = field(default_factory=list)

    def run_size(self, tasks: int) -> None:
        """Measure all variants in turn. Each round begins with another variant."""
        self.crowd.grow_to(tasks)
        say(f"{tasks} tasks in {len(self.crowd.containers)} containers")
        for number in range(self.rounds):
            first = number % len(VARIANTS)
            for variant in (*VARIANTS[first:], *VARIANTS[:first]):
                with variant.attached(self.crowd) as policy:
                    for scope in SCOPES:
                        self.run_scope(scope, tasks, variant.name, number, policy)

    def run_scope(self, scope: Scope, tasks: int, variant: str, number: int, policy: Policy | None) -> None:
        """Measure the kills of one scope under one variant."""
        before = policy.counters() if policy else None
        # The first is not counted: an emulator translates code when it runs first, and this code is new.
        _, *times = self.measure(scope, self.kills + 1)
        self.samples += [Sample(tasks, scope.name, variant, number, ns) for ns in times]
        if policy and before and not number:
            self.answers.append(policy.answers(before, tasks, scope.name, len(times) + 1))
        shown = ", ".join(f"{ns / 1e6:.2f}" for ns in times)
        say(f"{time.monotonic() - self.started:5.0f} s: {tasks} {scope.name} {variant}: {shown}")

    def measure(self, scope: Scope, kills: int) -> list[int]:
        """Return the times of at least `kills` selections, in ns. RuntimeError: the kernel killed another process."""
        with self.crowd.intended_victims(kills) as intended:
            selections = scope.kill(self.crowd, self.stopwatch, kills)
        if wrong := [one.victim_tgid for one in selections if one.victim_tgid not in intended]:
            raise RuntimeError(f"{scope.name}: the kernel killed {wrong}, not only the intended victims")
        return [one.ns for one in selections]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and write the result into a file for the host."""
    parser = argparse.ArgumentParser(prog="python3 -m benchmarks.guest", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--oom-count", type=int, default=15)
    parser.add_argument("--tasks", type=int, nargs="+", default=[1_000, 10_000])
    options = parser.parse_args(arguments)
    started = time.monotonic()
    # A dump of ten thousand tasks after each selection is no part of the measurement.
    Path("/proc/sys/vm/oom_dump_tasks").write_text("0")
    with Stopwatch() as stopwatch:
        kills = -(-options.oom_count // options.rounds)
        benchmark = Benchmark(Crowd(), stopwatch, options.rounds, kills, started)
        for tasks in sorted(options.tasks):
            benchmark.run_size(tasks)
    seconds = time.monotonic() - started
    Run(os.uname().release, seconds, benchmark.samples, benchmark.answers).write(RESULT)


def say(text: str) -> None:
    """Print one line of progress."""
    print(f"bench: {text}", flush=True)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""Make a section of docs/benchmarks.md from the measurements. Pure."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.cluster.results import percentile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.cluster.results import Run

RATE: Final = 100
LEAST_RATE: Final = 95.0
"""The changes of pods per second: the wanted rate, and the lowest rate that needs no caveat."""
AGENTS: Final = 5_000
"""The nodes of the largest cluster that Kubernetes is tested for. The cost of the watches is extrapolated to it."""


@dataclass(frozen=True)
class Goal:
    """The largest value of a measurement, at the largest size."""

    words: str
    limit: float
    unit: str
    value: Callable[[Run], float]


GOALS: Final = (
    Goal("first sync", 120, "s", lambda run: run.sync.ready),
    Goal("resident memory", 1024, "MiB", lambda run: max(run.sync.peak, run.steady.memory.rss)),
    Goal("one core under churn", 10, "%", lambda run: 100 * run.steady.core),
    Goal("lag, p99", 1, "s", lambda run: percentile(run.steady.lags, 0.99)),
)


@dataclass(frozen=True)
class Table:
    """A table, with a function of the run for the cells of each column."""

    title: str
    columns: dict[str, Callable[[Run], str]]

    def render(self, runs: Sequence[Run]) -> str:
        """Return the table with a row per run."""
        rows = [[cell(run) for cell in self.columns.values()] for run in runs]
        lines = [list(self.columns), ["---"] * len(self.columns), *rows]
        return "\n".join([f"{self.title}:", "", *(f"| {' | '.join(line)} |" for line in lines)])


def pods(run: Run) -> str:
    """Return the size, the first cell of each row."""
    return f"{run.size.pods:,}"


SYNC: Final = Table(
    "From the operator's start",
    {
        "pods": pods,
        "nodes": lambda run: f"{run.size.nodes:,}",
        "ready, s": lambda run: f"{run.sync.ready:.1f}",
        "an OOMNode per node, s": lambda run: f"{run.sync.oomnodes:.1f}",
        "CPU, s": lambda run: f"{run.sync.cpu:.1f}",
        "RSS, MiB": lambda run: f"{run.sync.memory.rss:.0f}",
        "private, MiB": lambda run: f"{run.sync.memory.private:.0f}",
        "highest RSS, MiB": lambda run: f"{run.sync.peak:.0f}",
    },
)
STEADY: Final = Table(
    "Under churn",
    {
        "pods": pods,
        "changes/s": lambda run: f"{run.steady.changes / run.steady.seconds:.0f}",
        "latest behind schedule, s": lambda run: f"{run.steady.latest:.2f}",
        "CPU, % of a core": lambda run: f"{100 * run.steady.core:.1f}",
        "own lag p99, s": lambda run: f"{run.steady.own_lag_p99:.2f}",
        "outside: lag p50, s": lambda run: f"{statistics.median(run.steady.lags):.2f}",
        "p99, s": lambda run: f"{percentile(run.steady.lags, 0.99):.2f}",
        "of": lambda run: f"{len(run.steady.lags)}",
        "RSS, MiB": lambda run: f"{run.steady.memory.rss:.0f}",
        "private, MiB": lambda run: f"{run.steady.memory.private:.0f}",
    },
)
CHANGE: Final = Table(
    "A policy of every pod changes, all nodes answer",
    {
        "pods": pods,
        "status has its generation, s": lambda run: f"{run.change.observed:.1f}",
        "last node has answered, s": lambda run: f"{run.change.written:.1f}",
        "status says applied by all, s": lambda run: f"{run.change.applied:.1f}",
        "operator's CPU, s": lambda run: f"{run.change.cpu:.1f}",
    },
)
WATCHES: Final = Table(
    "Cost of the agents for the API server, each with three watches",
    {
        "pods": pods,
        "agents": lambda run: f"{run.watches.agents}",
        "to connect, CPU s": lambda run: f"{run.watches.connect_cpu:.1f}",
        "memory, MiB": lambda run: f"{run.watches.memory:.1f}",
        "CPU of a pod's change without them, ms": lambda run: f"{1000 * run.watches.change_without:.1f}",
        "with them, ms": lambda run: f"{1000 * run.watches.change_with:.1f}",
        "first answer to a policy, s": lambda run: f"{run.watches.first_answer:.2f}",
        "last, s": lambda run: f"{run.watches.last_answer:.2f}",
        "policy and answers, CPU s": lambda run: f"{run.watches.answers_cpu:.1f}",
    },
)


def render(runs: Sequence[Run], heading: str) -> str:
    """Return the whole section."""
    tables = [table.render(runs) for table in (SYNC, STEADY, CHANGE, WATCHES)]
    verdicts = " ".join(verdict(goal, runs[-1]) for goal in GOALS)
    parts = [heading, *tables[:2], verdicts + caveat(runs), *tables[2:], extrapolation(runs[0], runs[-1])]
    return "\n\n".join(parts) + "\n"


def caveat(runs: Sequence[Run]) -> str:
    """Return a warning that some sizes had too few changes, so that the figures under churn are too low."""
    slow = [pods(run) for run in runs if run.steady.changes / run.steady.seconds < LEAST_RATE]
    return f" The machine was too busy for {RATE} changes/s at {', '.join(slow)} pods." if slow else ""


def verdict(goal: Goal, run: Run) -> str:
    """Return a sentence that says whether the goal is reached at the largest size."""
    found = goal.value(run)
    word = "reached" if found <= goal.limit else "missed"
    return f"Goal of at most {goal.limit:g} {goal.unit} ({goal.words}): {word} ({found:.3g} {goal.unit})."


def extrapolation(smallest: Run, run: Run) -> str:
    """Return a sentence that extrapolates from the measured agents to all.

    A change of a pod goes to one agent, even if there are many, and is not extrapolated. The memory is from the run
    with the smallest heap. Beside gigabytes of pods, Go releases more between two measurements than the agents take.
    """
    watches, times = run.watches, AGENTS / run.watches.agents
    memory = smallest.watches.memory * AGENTS / smallest.watches.agents
    return (
        f"In proportion, {AGENTS:,} agents cost the API server"
        f" {watches.connect_cpu * times:.0f} CPU seconds to connect, {memory / 1024:.1f} GiB of memory,"
        f" and {watches.answers_cpu * times:.0f} CPU seconds for a policy change with all answers."
    )

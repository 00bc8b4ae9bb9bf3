# SPDX-License-Identifier: Apache-2.0
"""The report of `benchmarks.cluster` is rendered from made-up figures, because a run takes half an hour."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.cluster.objects import Size, pods
from benchmarks.cluster.process import Memory, held_by_go
from benchmarks.cluster.report import render
from benchmarks.cluster.results import Change, Run, Steady, Sync, Watches, percentile
from oompolicy.parse import parse_pod


def run(size: int, lag: float) -> Run:
    memory = Memory(rss=200.0, private=180.0)
    return Run(
        size=Size(size),
        filled=1.0,
        sync=Sync(ready=130.0, oomnodes=140.0, cpu=20.0, memory=memory, peak=210.0),
        steady=Steady(seconds=60.0, changes=6000, latest=0.1, cpu=3.0, own_lag_p99=0.5, lags=[0.1, lag], memory=memory),
        change=Change(observed=1.0, written=20.0, applied=60.0, cpu=2.0),
        watches=Watches(100, 4.0, 30.0, 0.4, 0.41, 0.05, 0.9, 0.5),
    )


def test_goals_are_compared_with_the_largest_size() -> None:
    """Each line has the measured value."""
    said = render([run(10, lag=5.0), run(30, lag=0.4)], "2026-11-25, a machine.")

    assert "Goal of at most 120 s (first sync): missed (130 s)." in said
    assert "Goal of at most 1024 MiB (resident memory): reached (210 MiB)." in said
    assert "Goal of at most 10 % (one core under churn): reached (5 %)." in said
    assert "Goal of at most 1 s (lag, p99): reached (0.4 s)." in said


def test_a_busy_machine_is_reported() -> None:
    """If fewer changes than planned were made, they also cost less."""
    good = run(10, lag=0.1)
    slow = replace(good, size=Size(30), steady=replace(good.steady, changes=3000))

    assert "too busy" not in render([good], "2026-11-25, a machine.")
    assert "too busy for 100 changes/s at 30 pods." in render([good, slow], "2026-11-25, a machine.")


def test_every_size_has_a_row_in_every_table() -> None:
    """Every row has as many cells as its table has titles."""
    tables = [
        [line.count("|") for line in part.splitlines()]
        for part in render([run(10, 0.1), run(30, 0.1)], "2026-11-25, a machine.").split("\n\n")
        if part.startswith("|")
    ]

    assert [[width[0]] * 4 for width in tables] == tables
    assert 4 == len(tables)


def test_watches_are_extrapolated_to_all_nodes() -> None:
    """The figures of a hundred agents are multiplied for five thousand."""
    assert (
        "5,000 agents cost the API server 200 CPU seconds to connect, 1.5 GiB of memory, and 25 CPU seconds"
        in render([run(10, 0.1)], "2026-11-25, a machine.")
    )


@pytest.mark.parametrize(("share", "expected"), [(0.5, 2), (0.75, 3), (0.99, 4), (1.0, 4)])
def test_a_percentile_is_one_of_the_values(share: float, expected: int) -> None:
    """It is the smallest value that the given share of the values does not exceed."""
    assert expected == percentile([4, 1, 3, 2], share)


def test_the_memory_of_a_go_server_is_read_from_its_profile() -> None:
    """It is heap and stacks, from the end of the profile."""
    profile = "heap profile: 1: 2\n# runtime.MemStats\n# HeapAlloc = 3145728\n# Stack = 1048576 / 2097152\n"

    assert 4.0 == held_by_go(profile)


def test_the_benchmarks_pods_are_valid() -> None:
    """They have all three QoS classes, and each node has thirty."""
    made = [parse_pod(each) for each in pods(range(60))]

    assert {"Guaranteed", "Burstable", "BestEffort"} == {str(each.qos_class) for each in made}
    assert {"node-00000": 30, "node-00001": 30} == {
        name: sum(each.node_name == name for each in made) for name in ("node-00000", "node-00001")
    }
    assert 60 == len({each.uid for each in made})

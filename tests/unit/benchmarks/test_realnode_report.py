# SPDX-License-Identifier: Apache-2.0
"""The report of `benchmarks.realnode` is rendered from made-up figures, because a run takes half an hour."""

from __future__ import annotations

from benchmarks.machine import Machine
from benchmarks.realnode import Result, crowd, render

HOST = Machine("AMD EPYC", 2, "10.0", "tcg", 4096, 2, "2026-11-26")


def result(private: float, cpu: float) -> Result:
    return Result(
        pods=110,
        private=private * 1024,
        rss=51200.0,
        cpu=cpu,
        seconds=60.0,
        filling=300.0,
        installing=90.0,
        slowness=5.0,
    )


def test_figures_are_compared_with_the_goals() -> None:
    """Memory is in MiB, and CPU is in proportion to the time."""
    good, bad = (render(each, HOST, "6.12") for each in (result(40.0, 0.6), result(40.1, 0.63)))

    assert "| private memory, MiB | 40.0 | 40: reached |" in good
    assert "| CPU without changes, % of a core, over 60 s | 1.00 |  |" in good
    assert "| the same, divided by 5.0 | 0.20 | 0.2: reached |" in good
    assert "| 40.1 | 40: missed |" in bad
    assert "| 0.21 | 0.2: missed |" in bad


def test_a_crowd_is_selected_by_its_own_label() -> None:
    """The API server refuses other selectors."""
    spec = crowd(3)["spec"]

    assert spec["selector"]["matchLabels"] == spec["template"]["metadata"]["labels"]
    assert 3 == spec["replicas"]

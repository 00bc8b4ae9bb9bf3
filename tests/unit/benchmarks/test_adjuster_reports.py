# SPDX-License-Identifier: Apache-2.0
"""The tables of `benchmarks.race` and `benchmarks.adjuster` are made from made-up results: a run takes half an hour."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.adjuster import read, render
from benchmarks.adjusterguest import Result, Spell
from benchmarks.races import Case, Race, Races

if TYPE_CHECKING:
    from pathlib import Path

GOAL, FAST = Case(10, 20, None), Case(3, 50, 1.0)


def races(right: int, wrong: int, third: int = 0) -> Races:
    victims = ["right"] * right + ["wrong"] * wrong
    return Races([Race(GOAL, victim, 19.0, 8.8) for victim in victims] + [Race(FAST, "third", 44.0, 30.0)] * third)


def test_a_row_counts_the_victims_of_its_case() -> None:
    found = races(2, 1, 3).table()

    assert "| 10 | 8.8 % | 20 % | 19.0 % | the adjuster's own | 3 | 2 | 1 | 0 |" in found
    assert "| 3 | 30.0 % | 50 % | 44.0 % | 1 s | 3 | 0 | 0 | 3 |" in found
    assert "| 5 % |" not in found


def test_the_goal_needs_99_of_100_and_no_third_container() -> None:
    """A third container that died in any case is a missed goal."""
    assert "reached (99 of 100, a third container 0 times)" in races(99, 1).table()
    assert "missed (98 of 100, a third container 0 times)" in races(98, 2).table()
    assert "missed (100 of 100, a third container 1 times)" in races(100, 0, 1).table()


def test_the_host_reads_the_races_of_the_guest(tmp_path: Path) -> None:
    races(1, 1, 1).write(tmp_path / "races.json")

    assert races(1, 1, 1) == Races.read(tmp_path / "races.json")


def test_figures_of_the_adjuster_are_compared_with_the_goals() -> None:
    """CPU is in proportion to the time, and to the speed of the node."""
    changes = [0.1] * 98 + [0.5, 0.6]
    found = Result(110, 400, 25.1 * 1024, 40 * 1024.0, Spell(3.6, 120.0, 6), Spell(6.0, 30.0, 120), changes, 10.0)
    text = render(found, 1.0)

    assert "| private memory, MiB | 25.1 | 25: missed |" in text
    assert "| CPU without changes, % of a core, over 120 s | 3.00 |  |" in text
    assert "| the same, divided by 10.0 | 0.30 | 0.3: reached |" in text
    assert "| CPU in a storm, 4.0 looks per second, % of a core, over 30 s | 20.00 |  |" in text
    assert "| the same, p99, ms | 500 | 500: reached |" in text
    assert "| the same, p99, divided by 10.0, ms | 50 |  |" in text


def test_the_host_reads_the_figures_of_the_guest(tmp_path: Path) -> None:
    path = tmp_path / "adjuster.json"
    spell = '{"cpu": 1.0, "seconds": 2.0, "looks": 3}'
    numbers = '"pods": 1, "processes": 2, "private": 3, "rss": 4, "changes": [0.5], "work": 5'
    path.write_text(f'{{{numbers}, "idle": {spell}, "storm": {spell}}}')

    assert Result(1, 2, 3, 4, Spell(1.0, 2.0, 3), Spell(1.0, 2.0, 3), [0.5], 5) == read(path)

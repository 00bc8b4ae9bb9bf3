# SPDX-License-Identifier: Apache-2.0
"""The cases and the results of the races between growth and looks, which the guest hands to the host. Pure."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

GOAL: Final = 0.99
GOAL_GROWTH: Final = 20
VICTIMS: Final = ("right", "wrong", "third")


@dataclass(frozen=True)
class Case:
    """Levels of priority, growth in per cent of the node's memory per second, and seconds between two looks.

    `pause` is None for the adjuster's own pace.
    """

    levels: int
    growth: int
    pause: float | None

    @property
    def is_goal(self) -> bool:
        """True for the cases that the goal is for."""
        return self.pause is None and self.growth == GOAL_GROWTH


@dataclass(frozen=True)
class Race:
    """One race: the victim, and the measured growth and the margin, in per cent of the node's memory."""

    case: Case
    victim: str
    growth: float
    margin: float


CASES: Final = tuple(Case(*each) for each in product((3, 10), (5, GOAL_GROWTH, 50), (None, 1.0, 5.0)))


@dataclass
class Races:
    """All races of a run."""

    races: list[Race] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """Write the results into a file for the host."""
        path.write_text(json.dumps([asdict(race) for race in self.races]))

    @classmethod
    def read(cls, path: Path) -> Races:
        """Read the results that the guest wrote."""
        raw = json.loads(path.read_text())
        return cls([Race(Case(**each["case"]), each["victim"], each["growth"], each["margin"]) for each in raw])

    def of(self, case: Case) -> list[Race]:
        """Return the races of a case."""
        return [race for race in self.races if race.case == case]

    def row(self, case: Case) -> str:
        """Return the row of a case."""
        races = self.of(case)
        counts = [sum(race.victim == victim for race in races) for victim in VICTIMS]
        pause = "the adjuster's own" if case.pause is None else f"{case.pause:g} s"
        growth = statistics.median(race.growth for race in races)
        margin = min(race.margin for race in races)
        cells = (case.levels, f"{margin:.1f} %", f"{case.growth} %", f"{growth:.1f} %", pause, len(races), *counts)
        return f"| {' | '.join(map(str, cells))} |"

    def verdict(self) -> str:
        """Return the goal, and if it is reached."""
        races = [race for race in self.races if race.case.is_goal]
        right = sum(race.victim == "right" for race in races)
        third = sum(race.victim == "third" for race in self.races)
        reached = right >= GOAL * len(races) and not third
        words = "reached" if reached else "missed"
        return (
            f"Goal of at least {GOAL:.0%} right victims at {GOAL_GROWTH} % per second with the adjuster's own pace, "
            f"and never a third container: {words} ({right} of {len(races)}, a third container {third} times)."
        )

    def table(self) -> str:
        """Return the table of all cases that have races, and the goal."""
        head = (
            "| levels | margin | growth per second | measured | between two looks | races | right | wrong | third |\n"
            "|---|---|---|---|---|---|---|---|---|"
        )
        rows = [self.row(case) for case in CASES if self.of(case)]
        return "\n".join([head, *rows, "", self.verdict()])

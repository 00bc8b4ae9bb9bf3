# SPDX-License-Identifier: Apache-2.0
"""The results of shortages that one kill ends, which the guest hands to the host. Pure."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

GOAL: Final = 0.5
"""The wait of the program stays in it only if kills beyond need fall at least by this share."""


@dataclass(frozen=True)
class Shortage:
    """One shortage: the size of its victim in MiB, with or without oompolicy, kills, and seconds until it was over.

    `scope` is `limit`, or `node` if the whole node is out of memory.
    """

    scope: str
    mib: int
    enforced: bool
    kills: int
    seconds: float


@dataclass
class Shortages:
    """All shortages of a run."""

    shortages: list[Shortage] = field(default_factory=list)

    def write(self, path: Path) -> None:
        """Write the results into a file for the host."""
        path.write_text(json.dumps([asdict(each) for each in self.shortages]))

    @classmethod
    def read(cls, path: Path) -> Shortages:
        """Read the results that the guest wrote."""
        return cls([Shortage(**each) for each in json.loads(path.read_text())])

    def of(self, *, enforced: bool) -> list[Shortage]:
        """Return the shortages of the bare kernel, or those with oompolicy."""
        return [each for each in self.shortages if each.enforced == enforced]

    def row(self, scope: str, mib: int, *, enforced: bool) -> str:
        """Return the row of a scope and a size of the victim."""
        found = [each for each in self.of(enforced=enforced) if (each.scope, each.mib) == (scope, mib)]
        seconds = [each.seconds for each in found]
        name = "oompolicy" if enforced else "bare kernel"
        cells = (
            scope,
            f"{mib} MiB",
            name,
            len(found),
            beyond_need(found),
            f"{statistics.median(seconds) * 1000:.0f} ms",
            f"{max(seconds) * 1000:.0f} ms",
        )
        return f"| {' | '.join(map(str, cells))} |"

    def verdict(self) -> str:
        """Return the goal, and if it is reached."""
        bare, enforced = beyond_need(self.of(enforced=False)), beyond_need(self.of(enforced=True))
        words = "reached" if enforced <= (1 - GOAL) * bare else "missed"
        return f"Goal of at least {GOAL:.0%} fewer kills beyond need: {words} ({enforced} in place of {bare})."

    def table(self) -> str:
        """Return the table of all scopes and sizes, and the goal."""
        head = "| scope | victim | | OOMs | kills beyond need | median | longest |\n|---|---|---|---|---|---|---|"
        cases = sorted({(each.scope, each.mib) for each in self.shortages})
        rows = [self.row(*case, enforced=enforced) for case in cases for enforced in (False, True)]
        return "\n".join([head, *rows, "", self.verdict()])


def beyond_need(shortages: list[Shortage]) -> int:
    """Return the number of kills after the first one of each shortage."""
    return sum(each.kills - 1 for each in shortages)

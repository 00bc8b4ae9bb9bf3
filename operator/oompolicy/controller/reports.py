# SPDX-License-Identifier: Apache-2.0
"""Which policies' statuses are to be written, and when. Decides only; the loop writes."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from oompolicy.controller.policystatus import Pace, build

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from oompolicy.controller.settings import Settings
    from oompolicy.controller.state import State


class Report(NamedTuple):
    """A status to be written to the policy of this name and uid."""

    name: str
    uid: str
    status: Mapping[str, Any]


class Reports:
    """Times are seconds of a monotonic clock."""

    def __init__(self, state: State, settings: Settings) -> None:
        """None is due yet."""
        self._state, self._settings = state, settings
        self._paces: defaultdict[str, Pace] = defaultdict(Pace)
        self._due: dict[str, float] = {}

    @property
    def next(self) -> float:
        """When the first is due; infinity: none is."""
        return min(self._due.values(), default=float("inf"))

    def look(self, names: Iterable[str], now: float, today: datetime) -> None:
        """Something may be different with these policies."""
        for name in names:
            report = self._report(name, today)
            if report is None:
                self._paces.pop(name, None)
                due = None
            else:
                due = self._paces[name].due(report.status, self._there(name), now, self._settings)
            if due is None:
                self._due.pop(name, None)
            else:
                self._due[name] = due

    def due(self, now: float, today: datetime, most: int) -> list[Report]:
        """Those to be written now, the longest due first, with what there is to say now."""
        names = sorted((name for name, due in self._due.items() if due <= now), key=self._due.__getitem__)
        reports = (self._report(name, today) for name in names[:most])
        return [report for report in reports if report]

    def wrote(self, report: Report, now: float) -> None:
        """It is written. Before the state hears of it."""
        self._paces[report.name].wrote(self._there(report.name), report.status, now)
        self._due.pop(report.name, None)

    def postpone(self, name: str, until: float) -> None:
        """It could not be written, and would not be any better at once."""
        self._due[name] = until

    def _report(self, name: str, today: datetime) -> Report | None:
        known = self._state.policies.known.get(name)
        return Report(name, known.uid, build(known, self._state.found(name), today)) if known else None

    def _there(self, name: str) -> Mapping[str, Any]:
        known = self._state.policies.known.get(name)
        return known.status if known else {}

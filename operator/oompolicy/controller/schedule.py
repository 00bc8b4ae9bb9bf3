# SPDX-License-Identifier: Apache-2.0
"""Schedules the writes of policies' statuses. The loop does the writes."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple

from oompolicy.controller.policystatus import Pace, build

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from oompolicy.controller.settings import Settings
    from oompolicy.controller.state import State


class StatusWrite(NamedTuple):
    """A status to write to the policy of this name and uid."""

    name: str
    uid: str
    status: Mapping[str, Any]


class StatusSchedule:
    """The due writes of all policies. Times are in seconds of a monotonic clock."""

    def __init__(self, state: State, settings: Settings) -> None:
        self._state, self._settings = state, settings
        self._paces: defaultdict[str, Pace] = defaultdict(Pace)
        self._due: dict[str, float] = {}

    @property
    def next(self) -> float:
        """The time of the first due write, or infinity if none is due."""
        return min(self._due.values(), default=float("inf"))

    def reconsider(self, names: Iterable[str], now: float, today: datetime) -> None:
        """Schedule these policies again, because their statuses may have changed."""
        for name in names:
            write = self._wanted(name, today)
            if write is None:
                self._paces.pop(name, None)
                due = None
            else:
                due = self._paces[name].due(write.status, self._current(name), now, self._settings)
            if due is None:
                self._due.pop(name, None)
            else:
                self._due[name] = due

    def due(self, now: float, today: datetime, most: int) -> list[StatusWrite]:
        """Return at most `most` writes that are due now, the longest due first, with the statuses of this moment."""
        names = sorted((name for name, due in self._due.items() if due <= now), key=self._due.__getitem__)
        writes = (self._wanted(name, today) for name in names[:most])
        return [write for write in writes if write]

    def wrote(self, write: StatusWrite, now: float) -> None:
        """Record a successful write. Call this before the state receives the written object."""
        self._paces[write.name].wrote(self._current(write.name), write.status, now, self._settings)
        self._due.pop(write.name, None)

    def postpone(self, name: str, until: float) -> None:
        """Postpone a write that failed and would fail again now."""
        self._due[name] = until

    def _wanted(self, name: str, today: datetime) -> StatusWrite | None:
        record = self._state.policies.records.get(name)
        return StatusWrite(name, record.uid, build(record, self._state.counts(name), today)) if record else None

    def _current(self, name: str) -> Mapping[str, Any]:
        record = self._state.policies.records.get(name)
        return record.status if record else {}

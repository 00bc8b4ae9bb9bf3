# SPDX-License-Identifier: Apache-2.0
"""Counts victims of the same container and the same policy in the series of one Event.

A report can stand for several victims. Their number is its weight.

Before an update is sent, the names of the reports that it counts are written to disk. The update has the total number,
not the difference. After a crash in between, the next agent sends the same number again. So no victim is counted twice
or lost.
"""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from oompolicy_agent.plumbing.files import write_atomic

if TYPE_CHECKING:
    from pathlib import Path

    from oompolicy_agent.settings import EventLimits
    from oompolicy_agent.victims.report import Key, Report

VERSION: Final = 1
MAX_COUNT: Final = 2**31 - 1
"""The limit of the API (events.k8s.io/v1, EventSeries.count is an int32)."""
MAX_ALONE: Final = 10_000
"""The number of reports that may have an Event of their own, as many as the spool has (`spool.MAX_FILES`)."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Series:
    """The series of one Event, which has this `name` and `namespace`. Times are in seconds of the loop's clock.

    The API server has counted `count` victims. The update on disk adds those of `sending`, and the next one those of
    `members`. Both map the names of reports to their weights.
    """

    key: Key
    namespace: str
    name: str
    last_observed: str
    posted: bool = False
    count: int = 1
    sending: dict[str, int] = field(default_factory=dict)
    members: dict[str, int] = field(default_factory=dict)
    under_way: bool = False
    not_before: float = 0.0
    touched: float = 0.0

    @property
    def waiting(self) -> bool:
        """True if an update is to be sent and none is under way."""
        return self.posted and not self.under_way and bool(self.members or self.sending)

    @property
    def total(self) -> int:
        """The number of victims in the update on disk."""
        return self.count + sum(self.sending.values())


class SeriesStore:
    """All series that can still grow."""

    def __init__(self, path: Path, limits: EventLimits) -> None:
        """Take over the updates that an earlier agent wrote to disk."""
        self._path, self._limits = path, limits
        found, self._alone = _load(path)
        self._series: dict[Key, Series] = {series.key: series for series in found}
        self._sending = {name for series in self._series.values() for name in series.sending}

    def find(self, key: Key, now: float) -> Series | None:
        """Return the series that counts one more victim. Return None if there is none, or it has been idle too long."""
        series = self._series.get(key)
        return series if series and self._open(series, now) else None

    def counts(self, name: str) -> bool:
        """Return True if the update on disk already counts this report."""
        return name in self._sending

    def is_alone(self, name: str) -> bool:
        """Return True if this report may already have an Event of its own, so that no series may count it."""
        return name in self._alone

    def set_alone(self, name: str) -> None:
        """Note that this report may have an Event of its own from now on, also on disk if that works."""
        if name not in self._alone:
            self._alone[name] = None
            while len(self._alone) > MAX_ALONE:
                del self._alone[next(iter(self._alone))]
            with suppress(OSError):
                self._save()

    def settle_alone(self, name: str) -> None:
        """Note that the Event of this report was posted or given up."""
        self._alone.pop(name, None)

    def begin(self, report: Report, now: float) -> Series:
        """Begin the series of an Event, and drop series that can no longer grow."""
        for key in [key for key, series in self._series.items() if not self._open(series, now)]:
            del self._series[key]
        not_before = now + self._limits.series_every
        series = Series(report.key, report.namespace, report.name, report.killed_at, not_before=not_before)
        series.touched = now
        self._series[series.key] = series
        return series

    def add(self, series: Series, name: str, time: str, now: float, weight: int = 1) -> None:
        """Count `weight` more victims with the next update. `time` is the last victim's, a metav1.MicroTime."""
        series.members[name] = weight
        series.last_observed = max(series.last_observed, time)
        series.touched = now

    def due(self, now: float) -> list[Series]:
        """Return the series whose updates are due."""
        return [series for series in self._series.values() if series.waiting and series.not_before <= now]

    def wait(self, now: float) -> float | None:
        """Return the seconds until an update is due, or None."""
        return min((max(0.0, s.not_before - now) for s in self._series.values() if s.waiting), default=None)

    def prepare(self, due: list[Series]) -> None:
        """Write the updates to disk before they are sent.

        Raise OSError if that fails. A restart may then count the victims twice.
        """
        for series in due:
            series.sending |= series.members
            self._sending.update(series.members)
            series.members = {}
        self._save()

    def sent(self, series: Series, now: float) -> dict[str, int]:
        """Note that an update was sent. Return the reports that it counts, with their weights."""
        counted, series.sending = series.sending, {}
        self._sending.difference_update(counted)
        series.count += sum(counted.values())
        series.under_way, series.not_before, series.touched = False, now + self._limits.series_every, now
        return counted

    def end(self, series: Series) -> list[str]:
        """End a series whose Event does not exist. Return the reports that the series would have counted."""
        if self._series.get(series.key) is series:
            del self._series[series.key]
        self._sending.difference_update(series.sending)
        return [*series.sending, *series.members]

    def _save(self) -> None:
        """Write the file. Raise OSError if that fails."""
        series = [series for series in self._series.values() if series.count > 1 or series.sending]
        data = {"version": VERSION, "series": [_item(each) for each in series], "alone": list(self._alone)}
        write_atomic(self._path, json.dumps(data).encode())

    def _open(self, series: Series, now: float) -> bool:
        busy = series.members or series.sending or not series.posted
        return bool(busy) or now - series.touched <= self._limits.series_idle


def _item(series: Series) -> dict[str, Any]:
    return {
        "key": series.key,
        "namespace": series.namespace,
        "name": series.name,
        "last_observed": series.last_observed,
        "count": series.count,
        "sending": list(series.sending),
        "weights": {name: weight for name, weight in series.sending.items() if weight > 1},
    }


def _load(path: Path) -> tuple[list[Series], dict[str, None]]:
    """Return the series, and the names of reports that may have an Event of their own.

    A file that cannot be used is logged and ignored. Victims may then be counted twice, but none is lost.
    """
    try:
        items, alone = _parts(json.loads(path.read_bytes()))
    except FileNotFoundError:
        return [], {}
    except (OSError, ValueError, RecursionError) as error:
        log.warning("%s cannot be used and is ignored, so victims may be counted twice: %s", path, error)
        return [], {}
    found = [_series(item) for item in items]
    if None in found:
        log.warning("%s: %d series cannot be used and are ignored", path, found.count(None))
    return [series for series in found if series], dict.fromkeys(name for name in alone if isinstance(name, str))


def _parts(data: object) -> tuple[list[object], list[object]]:
    match data:
        case {"version": 1, "series": [*items], "alone": [*alone]}:
            return items, alone
        case {"version": 1, "series": [*items]}:
            return items, []
    raise ValueError(f"not the series of version {VERSION}")


def _series(item: object) -> Series | None:
    match item:
        case {
            "key": [str(uid), str(container), str(policy)], "namespace": str(namespace), "name": str(name),
            "last_observed": str(last), "count": int(count), "sending": [*sending],
        } if 0 < count <= MAX_COUNT and all(isinstance(each, str) for each in sending):  # fmt: skip
            found = {each: _weight(item, each) for each in sending}
            return Series((uid, container, policy), namespace, name, last, True, count, found)
    return None


def _weight(item: object, name: str) -> int:
    match item:
        case {"weights": {**weights}} if isinstance(found := weights.get(name), int) and 0 < found <= MAX_COUNT:
            return found
    return 1

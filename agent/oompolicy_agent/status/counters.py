# SPDX-License-Identifier: Apache-2.0
"""Counts what happens, for /metrics. Safe to use from several threads at once."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from threading import Lock
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from oompolicy.model import QOSClass

EventOutcome = Literal["posted", "counted", "given_up"]

CHANGE_BOUNDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Seconds; the goal is 0.25."""
EVENT_BOUNDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0, 3600.0)
"""Seconds; the goal is 1, and an API server may be away for an hour."""


class CollectionState(NamedTuple):
    """How it goes with following one of the API server's collections; `quiet_seconds` since it was last heard of."""

    synced: bool
    failing: bool
    quiet_seconds: float


class Histogram:
    """A histogram. `counts` has one more member than `bounds`: what is above them all."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        """Nothing seen yet; bounds in seconds, each belonging to what is below it."""
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, seconds: float) -> None:
        """One more."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.sum += seconds


class Counters:
    """All counters start at zero with the agent."""

    def __init__(self) -> None:
        """Nothing happened yet."""
        self._lock = Lock()
        self.victims: Counter[tuple[str, str]] = Counter()
        self.events: Counter[tuple[str, str]] = Counter()
        self.errors: Counter[tuple[str, str]] = Counter()
        self.change_lag = Histogram(CHANGE_BOUNDS)
        self.event_lag = Histogram(EVENT_BOUNDS)

    def victim(self, scope: str, qos_class: QOSClass | None) -> None:
        """The kernel killed somebody; no class: a process of the host."""
        with self._lock:
            self.victims[scope, qos_class or "None"] += 1

    def event(self, reason: str, outcome: EventOutcome, count: int = 1) -> None:
        """Events of a reason that were posted, counted in another one's series, or given up."""
        with self._lock:
            self.events[reason, outcome] += count

    def error(self, request: str, status: int | None) -> None:
        """A request to the API server failed; no status: it did not answer."""
        with self._lock:
            self.errors[request, str(status or "unreachable")] += 1

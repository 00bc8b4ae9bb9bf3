# SPDX-License-Identifier: Apache-2.0
"""The counters and histograms of /metrics. Several threads may use them at once.

They are written by hand because prometheus_client is imported only with `--listen`, and the agent runs without it.
`metrics` turns them into the families of prometheus_client.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from threading import Lock
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from oompolicy.model import QOSClass

EventOutcome = Literal["posted", "counted", "given_up"]

CHANGE_BOUNDS: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
"""Seconds. The goal is 0.25."""
EVENT_BOUNDS: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0, 3600.0)
"""Seconds. The goal is 1, and an API server can be unreachable for an hour."""


class CollectionState(NamedTuple):
    """The state of a followed collection. `quiet_seconds` is the time since the last reply."""

    synced: bool
    failing: bool
    quiet_seconds: float


class Histogram:
    """A histogram. The last member of `counts` is for values above all `bounds`."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        """Take the bounds in seconds. Each bound belongs to the bucket below it."""
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0

    def add(self, seconds: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, seconds)] += 1
        self.sum += seconds


class Counters:
    """The counters of an agent. All start at zero with the process."""

    def __init__(self) -> None:
        self._lock = Lock()
        self.victims: Counter[tuple[str, str]] = Counter()
        self.events: Counter[tuple[str, str]] = Counter()
        self.errors: Counter[tuple[str, str]] = Counter()
        self.change_lag = Histogram(CHANGE_BOUNDS)
        self.event_lag = Histogram(EVENT_BOUNDS)

    def victim(self, scope: str, qos_class: QOSClass | None) -> None:
        """Count a victim. A process of the host has no QoS class."""
        with self._lock:
            self.victims[scope, qos_class or "None"] += 1

    def event(self, reason: str, outcome: EventOutcome, count: int = 1) -> None:
        """Count Events that were posted, counted in the series of another Event, or given up."""
        with self._lock:
            self.events[reason, outcome] += count

    def error(self, request: str, status: int | None) -> None:
        """Count a failed request to the API server. The status is None if there was no answer."""
        with self._lock:
            self.errors[request, str(status or "unreachable")] += 1

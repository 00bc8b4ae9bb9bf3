# SPDX-License-Identifier: Apache-2.0
"""Decides if a report becomes an Event of its own, is counted in the series of another Event, or waits."""

from __future__ import annotations

import logging
import random
import time
from functools import partial
from typing import TYPE_CHECKING

from oompolicy_agent.api.limits import Bucket, PodBuckets
from oompolicy_agent.api.poster import patch_series, post
from oompolicy_agent.api.rejecting import RejectingNamespaces
from oompolicy_agent.api.series import SeriesStore
from oompolicy_agent.status.reasons import EventReason
from oompolicy_agent.victims.sink import PARKED, Settled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from oompolicy_agent.api.outcome import Outcome
    from oompolicy_agent.api.poster import Poster
    from oompolicy_agent.api.series import Series
    from oompolicy_agent.api.wake import Wake
    from oompolicy_agent.settings import Settings
    from oompolicy_agent.status.counters import Counters
    from oompolicy_agent.victims.report import Key, Report

log = logging.getLogger(__name__)


class ApiSink:
    """The `EventSink` that posts Events to the API server.

    While the API server is unavailable, no report is accepted. Afterwards they are accepted in the order of the offers.
    """

    def __init__(
        self,
        settings: Settings,
        poster: Poster,
        counters: Counters,
        wake: Wake,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """Take over the series of an earlier agent. `uniform` draws how long to wait after an Event is rejected."""
        self._wake, self.fd = wake, wake.fd
        self._limits = settings.event_limits
        self._poster, self._counters = poster, counters
        self._store = SeriesStore(settings.series, self._limits)
        limits = self._limits
        self._node = Bucket(limits.node_burst, limits.node_rate, limits.node_burst, 0.0)
        self._pods = PodBuckets(limits.pod_burst, limits.pod_rate)
        self._now = 0.0
        self._closed_until = 0.0
        self._under_way = 0
        self._done: list[str] = []
        self._again: list[tuple[str, float]] = []
        bucket = Bucket(limits.refused_burst, limits.refused_rate, limits.refused_burst, 0.0)
        self._rejecting = RejectingNamespaces(bucket, settings.retry_refused, uniform)
        self._unwritable: str | None = None

    @property
    def problem(self) -> str | None:
        """A sentence while Events are not delivered, or None."""
        if self._poster.failing:
            return f"Events wait for the API server: {self._poster.failing}"
        return self._rejecting.problem or self._unwritable

    @property
    def stalled(self) -> bool:
        """True if a report that is offered now cannot be delivered at once."""
        return bool(self._poster.failing) or bool(self._rejecting) or self._closed_until > self._now

    def offer(self, name: str, report: Report, now: float) -> bool:
        """Post or count a report. Return False if it cannot be accepted now."""
        self._now = now
        if self._store.counts(name):
            self._rejecting.forget([name])
            return True
        if self._poster.failing or self._under_way >= self._limits.under_way:
            return False
        series = self._store.find(report.key, now)
        if self._rejecting.is_rejecting(report.namespace):
            self._offer_to_rejecting(name, report, series, now)
            return True
        pod, wait = self._pods.of(report.subject_uid, now), self._node.wait(now)
        if self._store.is_alone(name):
            series = None
        self._closed_until = now + wait if series is None else 0.0
        if series is None and wait:
            return False
        self._rejecting.forget([name])
        if series is not None and (wait or pod.wait(now) or report.victims > 1):
            self._store.add(series, name, report.last_observed, now, report.victims)
            return True
        for bucket in (self._node, pod):
            bucket.take(now)
        self._post(name, report)
        return True

    def _offer_to_rejecting(self, name: str, report: Report, series: Series | None, now: float) -> None:
        """Count a report of a rejecting namespace, post it if it is its turn, or park it.

        None of this delays the reports of other namespaces.
        """
        if series is not None and not self._store.is_alone(name):
            self._rejecting.forget([name])
            self._store.add(series, name, report.last_observed, now, report.victims)
        elif self._rejecting.is_tried(name):
            # It is sent out of order. After a crash, the next agent must not count it in the Event of an older victim.
            self._post(name, report, alone=True)
        else:
            self._park(name, report)

    def settled(self, now: float) -> Settled:
        """Return the results since the last call, and send the updates of series that are due."""
        self._now = now
        self._wake.take()
        self._poster.settle()
        self._update_series(now)
        if not self._poster.failing and (name := self._rejecting.next(now)):
            self._again.append((name, 0.0))
        settled = Settled(tuple(self._done), tuple(self._again))
        self._done, self._again = [], []
        return settled

    def wait(self, now: float) -> float | None:
        """Return the seconds until a token or an update of a series is due.

        While the API server is unavailable it is None, and the poster wakes the loop.
        """
        if self._poster.failing:
            return None
        token = self._closed_until - now if self._closed_until > now else None
        waits = (token, self._store.wait(now), self._rejecting.wait(now))
        return min((wait for wait in waits if wait is not None), default=None)

    def forget(self, names: Iterable[str]) -> None:
        """Drop reports that will not be offered again."""
        self._rejecting.forget(names)

    # New Events.

    def _post(self, name: str, report: Report, *, alone: bool = False) -> None:
        self._under_way += 1
        was_alone = alone or report.victims > 1 or self._store.is_alone(name)
        # On the disk before the Event can arrive: an agent that ends now leaves it to the next one to post it again.
        # The namespace may refuse by then, and no series may count the victim a second time.
        self._store.set_alone(name)
        known = self._store.find(report.key, self._now)
        series = self._store.begin(report, self._now) if known is None else None
        self._poster.submit(post(report.event, partial(self._posted, name, report, series, was_alone=was_alone)))

    def _posted(self, name: str, report: Report, series: Series | None, outcome: Outcome, *, was_alone: bool) -> None:
        """Take the outcome of an Event. `series` is the series that the Event began, or None."""
        self._under_way -= 1
        if outcome.kind == "done":
            self._arrived(name, report, series)
            return
        if series:
            self._end(series)
        if outcome.kind == "obsolete":
            log.warning("the Event of victim %s is given up: %s", name, outcome.sentence)
            self._counters.event(report.reason, "given_up", report.victims)
            self._finish(name)
            self._accept(report.namespace, name, None)
        elif outcome.kind == "rejected" or self._rejecting.is_tried(name):
            # An earlier try, maybe of an earlier agent, may have arrived although its answer was lost.
            self._store.set_alone(name)
            self._rejecting.reject(report.namespace, name, report.key, outcome.sentence, self._now)
        else:
            if not was_alone:
                self._store.settle_alone(name)  # it was not sent, so a series may count it
            self._park(name, report)

    def _arrived(self, name: str, report: Report, series: Series | None) -> None:
        self._counters.event(report.reason, "posted")
        self._counters.event_lag.add(max(0.0, time.time() - report.killed_ns / 1e9))
        if series:
            series.posted = True
        if report.victims == 1:
            self._finish(name)
        else:
            # The new Event counts one victim. The others are counted in its series as if they had come later.
            counts = series or self._store.find(report.key, self._now)
            if counts is None:
                counts = self._store.begin(report, self._now)
                counts.posted = True
            self._store.add(counts, name, report.last_observed, self._now, report.victims - 1)
        self._accept(report.namespace, name, report.key)

    def _finish(self, name: str) -> None:
        self._store.settle_alone(name)
        self._done.append(name)

    def _park(self, name: str, report: Report) -> None:
        self._rejecting.park(report.namespace, name, report.key)
        self._again.append((name, PARKED))

    def _accept(self, namespace: str, name: str, key: Key | None) -> None:
        self._again += [(each, 0.0) for each in self._rejecting.accept(namespace, name, key, self._now)]

    def _end(self, series: Series) -> None:
        self._again += [(name, 0.0) for name in self._store.end(series)]

    # Series.

    def _update_series(self, now: float) -> None:
        for series in self._store.due(now):
            series.not_before = self._rejecting.not_before(series.namespace)
        due = self._store.due(now)
        if not due or self._poster.failing:
            return
        try:
            self._store.prepare(due)
        except OSError as error:
            # Victims that are counted twice after a restart are better than lost victims.
            self._unwritable = f"repeated kills cannot be noted on the disk, so a restart may count them twice: {error}"
        else:
            self._unwritable = None
        for series in due:
            series.under_way = True
            settled = partial(self._updated, series)
            update = patch_series(series.namespace, series.name, series.total, series.last_observed, settled)
            self._poster.submit(update)

    def _updated(self, series: Series, outcome: Outcome) -> None:
        if outcome.kind == "done":
            counted = self._store.sent(series, self._now)
            self._counters.event(EventReason.VICTIM_KILLED, "counted", sum(counted.values()))
            for name in counted:
                self._finish(name)
            self._accept(series.namespace, "", series.key)
        elif outcome.kind == "obsolete":
            # The Event has expired or was deleted. The next victim gets a new Event.
            self._end(series)
            self._accept(series.namespace, "", None)
        else:
            if outcome.kind == "rejected":
                log.warning("the series of Event %s cannot be updated: %s", series.name, outcome.sentence)
                self._rejecting.close(series.namespace, outcome.sentence, self._now)
            series.under_way, series.not_before = False, self._now + self._limits.series_every

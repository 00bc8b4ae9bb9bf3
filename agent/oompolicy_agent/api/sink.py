# SPDX-License-Identifier: Apache-2.0
"""Decides for each report whether it becomes an Event of its own, is counted in another one's series, or waits."""

from __future__ import annotations

import logging
import random
import time
from functools import partial
from typing import TYPE_CHECKING

from oompolicy_agent.api.limits import Bucket, PodBuckets
from oompolicy_agent.api.poster import patch_series, post
from oompolicy_agent.api.refused import Refused
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
    """A `Target`.

    While the API server takes nothing, nothing is decided: what it finds when it is back is first come, first served.
    """

    def __init__(
        self,
        settings: Settings,
        poster: Poster,
        tally: Counters,
        wake: Wake,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """Take over the series of an earlier agent. `uniform` draws how long to wait after a refusal."""
        self._wake, self.fd = wake, wake.fd
        self._limits = settings.event_limits
        self._poster, self._tally = poster, tally
        self._book = SeriesStore(settings.series, self._limits)
        limits = self._limits
        self._node = Bucket(limits.node_burst, limits.node_rate, limits.node_burst, 0.0)
        self._pods = PodBuckets(limits.pod_burst, limits.pod_rate)
        self._now = 0.0
        self._closed_until = 0.0
        self._under_way = 0
        self._done: list[str] = []
        self._again: list[tuple[str, float]] = []
        bucket = Bucket(limits.refused_burst, limits.refused_rate, limits.refused_burst, 0.0)
        self._refused = Refused(bucket, settings.retry_refused, uniform)
        self._unwritable = ""

    @property
    def problem(self) -> str:
        """A sentence while Events do not arrive, or empty."""
        if self._poster.failing:
            return f"Events wait for the API server: {self._poster.failing}"
        return self._refused.problem or self._unwritable

    @property
    def stalled(self) -> bool:
        """Whether what is offered now would take more than a moment to arrive."""
        return bool(self._poster.failing) or bool(self._refused) or self._closed_until > self._now

    def offer(self, name: str, report: Report, now: float) -> bool:
        """Post it, or count it; False while there is no room for it."""
        self._now = now
        if self._book.counts(name):
            self._refused.forget([name])
            return True
        if self._poster.failing or self._under_way >= self._limits.under_way:
            return False
        series = self._book.find(report.key, now)
        if self._refused.doubts(report.namespace):
            self._offer_to_doubted(name, report, series, now)
            return True
        pod, wait = self._pods.of(report.subject_uid, now), self._node.wait(now)
        if self._book.is_alone(name):
            series = None
        self._closed_until = now + wait if series is None else 0.0
        if series is None and wait:
            return False
        self._refused.forget([name])
        if series is not None and (wait or pod.wait(now) or report.victims > 1):
            self._book.add(series, name, report.last_observed, now, report.victims)
            return True
        for bucket in (self._node, pod):
            bucket.take(now)
        self._post(name, report)
        return True

    def _offer_to_doubted(self, name: str, report: Report, series: Series | None, now: float) -> None:
        """It costs the others nothing: it is counted, or one that `Refused` paid for, or waits for its turn."""
        if series is not None and not self._book.is_alone(name):
            self._refused.forget([name])
            self._book.add(series, name, report.last_observed, now, report.victims)
        elif self._refused.is_tried(name):
            # It is sent out of its turn: after a crash the next agent would count it in the Event of an older one.
            self._post(name, report, alone=True)
        else:
            self._park(name, report)

    def settled(self, now: float) -> Settled:
        """What became of those taken over; and what their series say is sent when it is due."""
        self._now = now
        self._wake.take()
        self._poster.settle()
        self._update_series(now)
        if not self._poster.failing and (name := self._refused.next(now)):
            self._again.append((name, 0.0))
        settled = Settled(tuple(self._done), tuple(self._again))
        self._done, self._again = [], []
        return settled

    def wait(self, now: float) -> float | None:
        """Until there is a token, or a series to update; while the API server fails, the poster tells."""
        if self._poster.failing:
            return None
        token = self._closed_until - now if self._closed_until > now else None
        waits = (token, self._book.wait(now), self._refused.wait(now))
        return min((wait for wait in waits if wait is not None), default=None)

    def forget(self, names: Iterable[str]) -> None:
        """These are not offered again."""
        self._refused.forget(names)

    # Events of their own.

    def _post(self, name: str, report: Report, *, alone: bool = False) -> None:
        self._under_way += 1
        if alone or report.victims > 1:
            self._book.set_alone(name)
        known = self._book.find(report.key, self._now)
        series = self._book.begin(report, self._now) if known is None else None
        self._poster.submit(post(report.event, partial(self._posted, name, report, series)))

    def _posted(self, name: str, report: Report, series: Series | None, outcome: Outcome) -> None:
        """`series` is the one that the Event stands for, if it does."""
        self._under_way -= 1
        if outcome.kind == "done":
            self._arrived(name, report, series)
            return
        if series:
            self._end(series)
        if outcome.kind == "gone":
            log.warning("the Event of victim %s is given up: %s", name, outcome.sentence)
            self._tally.event(report.reason, "given_up", report.victims)
            self._finish(name)
            self._accept(report.namespace, name, None)
        elif outcome.kind == "later" or self._refused.is_tried(name):
            # An earlier try, of an agent before us maybe, may have arrived without our hearing of it.
            self._book.set_alone(name)
            self._refused.refuse(report.namespace, name, report.key, outcome.sentence, self._now)
        else:
            self._park(name, report)

    def _arrived(self, name: str, report: Report, series: Series | None) -> None:
        self._tally.event(report.reason, "posted")
        self._tally.event_lag.add(max(0.0, time.time() - report.killed_ns / 1e9))
        if series:
            series.posted = True
        if report.victims == 1:
            self._finish(name)
        else:
            # Its Event stands for one, and the others are counted as if they had come after it.
            counts = series or self._book.find(report.key, self._now)
            if counts is None:
                counts = self._book.begin(report, self._now)
                counts.posted = True
            self._book.add(counts, name, report.last_observed, self._now, report.victims - 1)
        self._accept(report.namespace, name, report.key)

    def _finish(self, name: str) -> None:
        self._book.settle_alone(name)
        self._done.append(name)

    def _park(self, name: str, report: Report) -> None:
        self._refused.park(report.namespace, name, report.key)
        self._again.append((name, PARKED))

    def _accept(self, namespace: str, name: str, key: Key | None) -> None:
        self._again += [(each, 0.0) for each in self._refused.accept(namespace, name, key, self._now)]

    def _end(self, series: Series) -> None:
        self._again += [(name, 0.0) for name in self._book.end(series)]

    # Series.

    def _update_series(self, now: float) -> None:
        for series in self._book.due(now):
            series.not_before = self._refused.not_before(series.namespace)
        due = self._book.due(now)
        if not due or self._poster.failing:
            return
        try:
            self._book.prepare(due)
        except OSError as error:
            # To count one twice after a restart is better than to lose all.
            self._unwritable = f"a restart may count repeated kills twice: {error}"
        else:
            self._unwritable = ""
        for series in due:
            series.under_way = True
            settled = partial(self._updated, series)
            update = patch_series(series.namespace, series.name, series.total, series.last_observed, settled)
            self._poster.submit(update)

    def _updated(self, series: Series, outcome: Outcome) -> None:
        if outcome.kind == "done":
            counted = self._book.sent(series, self._now)
            self._tally.event(EventReason.VICTIM_KILLED, "counted", sum(counted.values()))
            for name in counted:
                self._finish(name)
            self._accept(series.namespace, "", series.key)
        elif outcome.kind == "gone":
            # It has expired, or somebody deleted it: the next victim is news again.
            self._end(series)
            self._accept(series.namespace, "", None)
        else:
            if outcome.kind == "later":
                log.warning("the series of Event %s cannot be updated: %s", series.name, outcome.sentence)
                self._refused.close(series.namespace, outcome.sentence, self._now)
            series.under_way, series.not_before = False, self._now + self._limits.series_every

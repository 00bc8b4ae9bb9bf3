# SPDX-License-Identifier: Apache-2.0
"""Decides for each report whether it becomes an Event of its own, is counted in another one's series, or waits."""

from __future__ import annotations

import logging
import random
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from oompolicy_agent.api.backoff import Backoff
from oompolicy_agent.api.limits import Bucket, PodBuckets
from oompolicy_agent.api.poster import patch_series, post
from oompolicy_agent.api.series import Book, Series, key_of
from oompolicy_agent.events import nanoseconds
from oompolicy_agent.reasons import EventReason
from oompolicy_agent.target import Settled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from oompolicy_agent.api.outcome import Outcome
    from oompolicy_agent.api.poster import Poster
    from oompolicy_agent.api.wake import Wake
    from oompolicy_agent.settings import Settings
    from oompolicy_agent.tally import Tally

MAX_REFUSED: Final = 256
"""Events that the API server refuses, and that hold up no others; beyond them nothing new is tried."""

log = logging.getLogger(__name__)


class _Refused(NamedTuple):
    sentence: str
    backoff: Backoff


class ApiTarget:
    """A `Target`.

    While the API server takes nothing, nothing is decided: what it finds when it is back is first come, first served.
    """

    def __init__(
        self,
        settings: Settings,
        poster: Poster,
        tally: Tally,
        wake: Wake,
        uniform: Callable[[float, float], float] = random.uniform,
    ) -> None:
        """Take over the series of an earlier agent. `uniform` draws how long to wait after a refusal."""
        self._uniform = uniform
        self._wake, self.fd = wake, wake.fd
        self._settings, self._limits = settings, settings.event_limits
        self._poster, self._tally = poster, tally
        self._book = Book(settings.series, self._limits)
        limits = self._limits
        self._node = Bucket(limits.node_burst, limits.node_rate, limits.node_burst, 0.0)
        self._pods = PodBuckets(limits.pod_burst, limits.pod_rate)
        self._now = 0.0
        self._closed_until = 0.0
        self._under_way = 0
        self._done: list[str] = []
        self._again: list[tuple[str, float]] = []
        self._refused: dict[str, _Refused] = {}
        self._unwritable = ""

    @property
    def problem(self) -> str:
        """A sentence while Events do not arrive, or empty."""
        if self._poster.failing:
            return f"Events wait for the API server: {self._poster.failing}"
        if self._refused:
            sentence = next(iter(self._refused.values())).sentence
            return f"the API server refuses {len(self._refused)} Events, which stay spooled: {sentence}"
        return self._unwritable

    @property
    def stalled(self) -> bool:
        """Whether what is offered now would take more than a moment to arrive."""
        return bool(self._poster.failing) or bool(self._refused) or self._closed_until > self._now

    def offer(self, name: str, event: Mapping[str, Any], now: float) -> bool:
        """Post it, or count it; False while there is no room for it."""
        self._now = now
        if self._book.counts(name):
            return True
        full = len(self._refused) >= MAX_REFUSED and name not in self._refused
        if full or self._poster.failing or self._under_way >= self._limits.under_way:
            return False
        series = self._book.find(key_of(event), now)
        pod, wait = self._pods.of(event["regarding"]["uid"], now), self._node.wait(now)
        self._closed_until = now + wait if series is None else 0.0
        if series is None and wait:
            return False
        if series is not None and (wait or pod.wait(now)):
            self._book.add(series, name, event["eventTime"], now)
            return True
        for bucket in (self._node, pod):
            bucket.take(now)
        self._post(name, event, series or self._book.begin(event, now))
        return True

    def settled(self, now: float) -> Settled:
        """What became of those taken over; and what their series say is sent when it is due."""
        self._now = now
        self._wake.take()
        self._poster.settle()
        self._update_series(now)
        done, again = tuple(self._done), tuple(self._again)
        self._done, self._again = [], []
        return Settled(done, again)

    def wait(self, now: float) -> float | None:
        """Until there is a token, or a series to update; while the API server fails, the poster tells."""
        if self._poster.failing:
            return None
        token = self._closed_until - now if self._closed_until > now else None
        return min((wait for wait in (token, self._book.wait(now)) if wait is not None), default=None)

    def forget(self, names: Iterable[str]) -> None:
        """These are not offered again."""
        for name in names:
            self._refused.pop(name, None)

    # Events of their own.

    def _post(self, name: str, event: Mapping[str, Any], series: Series) -> None:
        self._under_way += 1
        own = series.name == event["metadata"]["name"]
        settled = partial(self._posted, name, event, series if own else None)
        self._poster.submit(post(event, settled))

    def _posted(self, name: str, event: Mapping[str, Any], series: Series | None, outcome: Outcome) -> None:
        """`series` is the one that the Event stands for, if it does."""
        self._under_way -= 1
        refused = self._refused.pop(name, None)
        if outcome.kind == "done":
            self._tally.event(event["reason"], "posted")
            self._tally.event_lag.add(max(0.0, time.time() - nanoseconds(event["eventTime"]) / 1e9))
            self._done.append(name)
            if series:
                series.posted = True
            return
        if series:
            self._again += [(member, 0.0) for member in self._book.end(series)]
        if outcome.kind == "gone":
            log.warning("the Event of victim %s is given up: %s", name, outcome.sentence)
            self._tally.event(event["reason"], "given_up")
            self._done.append(name)
            return
        backoff = refused.backoff if refused else Backoff(self._uniform, self._settings.retry_refused)
        self._refused[name] = _Refused(outcome.sentence, backoff)
        self._again.append((name, backoff.failed()))

    # Series.

    def _update_series(self, now: float) -> None:
        due = self._book.due(now)
        if not due or self._poster.failing:
            return
        try:
            self._book.prepare(due)
        except OSError as error:
            self._unwritable = f"repeated kills cannot be counted and stay spooled: {error}"
            for series in due:
                series.not_before = now + self._limits.series_every
            return
        self._unwritable = ""
        for series in due:
            series.under_way = True
            count = series.count + len(series.sending)
            settled = partial(self._updated, series)
            self._poster.submit(patch_series(series.namespace, series.name, count, series.last_observed, settled))

    def _updated(self, series: Series, outcome: Outcome) -> None:
        if outcome.kind == "done":
            counted = self._book.sent(series, self._now)
            self._tally.event(EventReason.VICTIM_KILLED, "counted", len(counted))
            self._done += counted
        elif outcome.kind == "gone":
            # It has expired, or somebody deleted it: the next victim is news again.
            self._again += [(name, 0.0) for name in self._book.end(series)]
        else:
            log.warning("the series of Event %s cannot be updated: %s", series.name, outcome.sentence)
            series.under_way, series.not_before = False, self._now + self._limits.series_every

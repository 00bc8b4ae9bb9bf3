# SPDX-License-Identifier: Apache-2.0
"""The reconcile loop: takes in what has changed, looks at what it means, and writes what is due.

Level-based: a change only says where to look. What is written follows from all that is known, and is compared with
what is there, so that our own writes, seen again, lead to nothing.
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final, NamedTuple

from oompolicy.controller import actions
from oompolicy.controller.reports import Reports
from oompolicy.controller.state import State
from oompolicy.kube.errors import ApiError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from oompolicy.controller.metrics import Metrics
    from oompolicy.controller.settings import Settings
    from oompolicy.kube.connection import Connection

_FIRST_RETRY: Final = 0.5
"""Seconds; doubled with each failure up to the setting."""

log = logging.getLogger(__name__)


class _Change(NamedTuple):
    arrived: float
    apply: Callable[[], None]


class Loop:
    """Runs in the thread that calls `run`. `post` and `stop` may be called from any, and by signal handlers."""

    def __init__(
        self, connection: Connection, settings: Settings, metrics: Metrics, defined: Callable[[], None]
    ) -> None:
        """`defined` is called when there is a definition of OOMPolicy to watch, once per `policies_unwatched`."""
        self._connection, self._settings, self._metrics = connection, settings, metrics
        self._defined = defined
        self._changes: SimpleQueue[_Change] = SimpleQueue()
        self._stopped = False
        self._blocked = 0.0  # no request before then
        self._failures = 0
        self._list_at = 0.0
        self._watched = False
        self._complete = False
        self.state = State()
        self._reports = Reports(self.state, settings)
        self.beat = time.monotonic()

    def post(self, apply: Callable[[], None]) -> None:
        """Something changed: `apply` takes it in."""
        self._changes.put(_Change(time.monotonic(), apply))

    def policies_doubtful(self) -> None:
        """The policies may not be those that are known. Only by a change."""
        self._list_at = 0.0

    def policies_unwatched(self) -> None:
        """The watch of policies has ended, maybe because they are not defined any more. Only by a change."""
        self._list_at = 0.0
        self._watched = False

    def stop(self) -> None:
        """Return from `run` when the turn under way is done."""
        self._stopped = True
        self.post(lambda: None)

    def run(self) -> None:
        """Until `stop`."""
        self.beat = time.monotonic()  # it may have been on standby for weeks
        while not self._stopped:
            self.turn()

    def turn(self) -> None:
        """Wait for something to do, and do it."""
        arrived = self._take_in()
        self._reconcile()
        self.beat = time.monotonic()
        for each in arrived:
            self._metrics.lag.observe(self.beat - each)

    def _take_in(self) -> list[float]:
        """Wait for a change or until something is due, and take in all changes there are. When they arrived."""
        started = time.monotonic()
        try:
            changes = [self._changes.get(timeout=self._patience(started))]
        except Empty:
            return []
        # The first of a rush does not wait, and those that follow it are reconciled together.
        time.sleep(max(0.0, min(self._settings.turn_gap, self.beat + self._settings.turn_gap - time.monotonic())))
        changes += [self._changes.get() for _ in range(self._changes.qsize())]
        for change in changes:
            change.apply()
        return [change.arrived for change in changes]

    def _patience(self, now: float) -> float:
        due = min(self._reports.next, self._list_at, now if self.state.missing else float("inf"))
        return min(max(due, self._blocked) - now, self._settings.idle_turn) if max(due, self._blocked) > now else 0.0

    def _reconcile(self) -> None:
        now = time.monotonic()
        try:
            if now >= self._list_at and now >= self._blocked:
                self._list_policies(now)
            if self.state.unlisted:
                return
            if not self._complete:
                self._complete = True
                log.info("all is listed: %s", self.state)
            self._look()
            if now >= self._blocked:
                self._write_statuses()
                self._create_oomnodes()
                self._failures = 0
        except (ApiError, UnreachableError) as error:
            self._block(error)

    def _list_policies(self, now: float) -> None:
        before = [known.uid for known in self.state.policies.known.values()]
        self.state.policies_listed(list(actions.list_policies(self._connection)), before)
        self._list_at = now + self._settings.policy_check
        if not self._watched:
            self._watched = True
            self._defined()

    def _look(self) -> None:
        names = self.state.look()
        self._reports.look(names, time.monotonic(), datetime.now(UTC))
        self._metrics.show(self.state, names)

    def _write_statuses(self) -> None:
        for report in self._reports.due(time.monotonic(), datetime.now(UTC), self._settings.writes_per_turn):
            try:
                raw = actions.apply_status(self._connection, report.name, report.uid, report.status)
            except ApiError as error:
                if error.status == 429 or error.status >= 500:
                    raise
                self._refused(report.name, error)
            else:
                self._metrics.writes.labels("OOMPolicy").inc()
                self._reports.wrote(report, time.monotonic())
                self.state.policy(raw)

    def _refused(self, name: str, error: ApiError) -> None:
        """By the server for this one policy: the others need not wait for it."""
        self._reports.postpone(name, time.monotonic() + self._settings.retry_max)
        if error.status in (404, 409):
            return  # it is gone, or another of its name is there, and we shall hear of that
        self._metrics.errors.labels("OOMPolicy").inc()
        log.warning("status of OOMPolicy %s: %s", name, error)

    def _create_oomnodes(self) -> None:
        for name in list(self.state.missing)[: self._settings.writes_per_turn]:
            try:
                actions.create_oomnode(self._connection, name, self.state.missing[name])
                self._metrics.writes.labels("OOMNode").inc()
            except ApiError as error:
                if error.status != 409:
                    raise
            # We hear of it soon, and if it goes again, of that too.
            del self.state.missing[name]

    def _block(self, error: ApiError | UnreachableError) -> None:
        delay = min(self._settings.retry_max, _FIRST_RETRY * 2.0 ** min(self._failures, 16))
        if isinstance(error, ApiError) and error.retry_after:
            delay = max(delay, error.retry_after)
        self._failures += 1
        self._blocked = time.monotonic() + delay
        self._metrics.errors.labels("any").inc()
        log.warning("%s; again in %.1f s", error, delay)

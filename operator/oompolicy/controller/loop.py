# SPDX-License-Identifier: Apache-2.0
"""The reconcile loop. It takes in changes, evaluates the state, and writes each status that is due.

The loop is level-based. A change only selects the policies to evaluate. Their status follows from the whole state and
is compared with the status in the API server. So the events of the operator's own writes cause no further writes.
"""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, NamedTuple

from oompolicy.controller import actions
from oompolicy.controller.schedule import StatusSchedule
from oompolicy.controller.state import State
from oompolicy.kube.backoff import Backoff
from oompolicy.kube.errors import ApiError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from oompolicy.controller.metrics import Metrics
    from oompolicy.controller.settings import Settings
    from oompolicy.kube.connection import Connection

log = logging.getLogger(__name__)


class _Change(NamedTuple):
    arrived: float
    apply: Callable[[], None]


class Loop:
    """The loop, in the thread that calls `run`. Any thread or signal handler may call `post` and `stop`."""

    def __init__(
        self, connection: Connection, settings: Settings, metrics: Metrics, watchable: Callable[[], None]
    ) -> None:
        """Take a callback for when OOMPolicies can be watched. It is called once, and once after each `watch_ended`."""
        self._connection, self._settings, self._metrics = connection, settings, metrics
        self._watchable = watchable
        self._changes: SimpleQueue[_Change] = SimpleQueue()
        self._stopped = False
        self._blocked = 0.0  # no request is sent before this time
        self._backoff = Backoff(longest=settings.retry_max)
        self._list_at = 0.0
        self._watched = False
        self._complete = False
        self.state = State()
        self._schedule = StatusSchedule(self.state, settings)
        self.last_turn = time.monotonic()

    def post(self, apply: Callable[[], None]) -> None:
        """Queue a change. `apply` takes it into the state."""
        self._changes.put(_Change(time.monotonic(), apply))

    def recheck_policies(self) -> None:
        """List the policies soon, because the known ones may be outdated. Only a posted change may call this."""
        self._list_at = 0.0

    def watch_ended(self) -> None:
        """Note that the watch of policies ended, maybe because their definition was deleted.

        Only a posted change may call this.
        """
        self._list_at = 0.0
        self._watched = False

    def stop(self) -> None:
        """End `run` after the current turn."""
        self._stopped = True
        self.post(lambda: None)

    def run(self) -> None:
        """Run until `stop`."""
        self.last_turn = time.monotonic()  # this replica may have been on standby for weeks
        while not self._stopped:
            self.turn()

    def turn(self) -> None:
        """Wait for a change or a due write, and reconcile."""
        arrived = self._take_in()
        self._reconcile()
        self.last_turn = time.monotonic()
        for each in arrived:
            self._metrics.lag.observe(self.last_turn - each)

    def _take_in(self) -> list[float]:
        """Wait for a change or a due write, take in all queued changes, and return the times when they arrived."""
        started = time.monotonic()
        try:
            changes = [self._changes.get(timeout=self._patience(started))]
        except Empty:
            return []
        # The first of many changes does not wait, and the changes that follow are reconciled together.
        gap = self._settings.turn_gap
        time.sleep(max(0.0, min(gap, self.last_turn + gap - time.monotonic())))
        changes += [self._changes.get() for _ in range(self._changes.qsize())]
        for change in changes:
            change.apply()
        return [change.arrived for change in changes]

    def _patience(self, now: float) -> float:
        due = min(self._schedule.next, self._list_at, now if self.state.missing else float("inf"))
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
                log.info("all collections are listed: %s", self.state)
            self._evaluate()
            if now >= self._blocked:
                self._write_statuses()
                self._create_oomnodes()
                self._backoff.succeeded()
        except (ApiError, UnreachableError) as error:
            self._block(error)

    def _list_policies(self, now: float) -> None:
        before = [record.uid for record in self.state.policies.records.values()]
        self.state.policies_listed(list(actions.list_policies(self._connection)), before)
        self._list_at = now + self._settings.policy_check
        if not self._watched:
            self._watched = True
            self._watchable()

    def _evaluate(self) -> None:
        names = self.state.evaluate()
        self._schedule.reconsider(names, time.monotonic(), datetime.now(UTC))
        self._metrics.update(self.state, names)

    def _write_statuses(self) -> None:
        for write in self._schedule.due(time.monotonic(), datetime.now(UTC), self._settings.writes_per_turn):
            try:
                raw = actions.apply_status(self._connection, write.name, write.uid, write.status)
            except ApiError as error:
                if error.status == 429 or error.status >= 500:
                    raise
                self._refused(write.name, error)
            else:
                self._metrics.writes.labels("OOMPolicy").inc()
                self._schedule.wrote(write, time.monotonic())
                self.state.policy(raw)

    def _refused(self, name: str, error: ApiError) -> None:
        """Postpone one policy that the server refused, so that the other policies need not wait."""
        self._schedule.postpone(name, time.monotonic() + self._settings.retry_max)
        if error.status in (404, 409):
            return  # the policy is deleted or replaced, and an event of that will arrive
        self._metrics.errors.labels("OOMPolicy").inc()
        log.warning("cannot write the status of OOMPolicy %s: %s", name, error)

    def _create_oomnodes(self) -> None:
        for name in list(self.state.missing)[: self._settings.writes_per_turn]:
            try:
                actions.create_oomnode(self._connection, name, self.state.missing[name])
                self._metrics.writes.labels("OOMNode").inc()
            except ApiError as error:
                if error.status != 409:
                    raise
            # An event of the new OOMNode will arrive, and another one if it is deleted.
            del self.state.missing[name]

    def _block(self, error: ApiError | UnreachableError) -> None:
        asked = error.retry_after if isinstance(error, ApiError) else None
        delay = self._backoff.failed(asked or 0.0)
        self._blocked = time.monotonic() + delay
        self._metrics.errors.labels("any").inc()
        log.warning("%s. Retrying in %.1f s", error, delay)

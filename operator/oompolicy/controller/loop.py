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

from oompolicy.controller import actions, nodestatus
from oompolicy.controller.modewriter import ModeWriter
from oompolicy.controller.schedule import StatusSchedule
from oompolicy.controller.settingslist import SettingsList
from oompolicy.controller.state import State
from oompolicy.controller.watches import node_report
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
        self,
        connection: Connection,
        settings: Settings,
        metrics: Metrics,
        watchable: Callable[[], None],
        listening: Callable[[], bool] = lambda: True,
        *,
        settings_watchable: Callable[[], None] = lambda: None,
    ) -> None:
        """Take three callbacks.

        `watchable` is called when OOMPolicies can be watched: once, and once after each `watch_ended`. `listening`
        returns True while OOMNodes are watched. `settings_watchable` is the same for OOMSettings as `watchable`.
        """
        self._connection, self._settings, self._metrics = connection, settings, metrics
        self._watchable, self._listening = watchable, listening
        self._changes: SimpleQueue[_Change] = SimpleQueue()
        self._stopped = False
        self._blocked = 0.0  # no request is sent before this time
        self._backoff = Backoff(longest=settings.retry_max)
        self._list_at = 0.0
        self._watched = False
        self._complete = False
        self._listened_at: float | None = None  # None while OOMNodes are not watched
        self._mark_at = 0.0
        self.state = State(settings.silent_after)
        self._schedule = StatusSchedule(self.state, settings)
        self._modes = ModeWriter(connection, settings, metrics, self.state)
        self.settings_list = SettingsList(connection, settings, metrics, self.state, settings_watchable)
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
            self._listen(time.monotonic())
            return []
        # The first of many changes does not wait, and the changes that follow are reconciled together.
        gap = self._settings.turn_gap
        time.sleep(max(0.0, min(gap, self.last_turn + gap - time.monotonic())))
        changes += [self._changes.get() for _ in range(self._changes.qsize())]
        self._listen(time.monotonic())
        for change in changes:
            change.apply()
        return [change.arrived for change in changes]

    def _patience(self, now: float) -> float:
        lists = min(self._list_at, self.settings_list.next)
        due = min(self._schedule.next, self._modes.next, lists, self._next_mark())
        due = now if self.state.missing else due
        return min(max(due, self._blocked) - now, self._settings.idle_turn) if max(due, self._blocked) > now else 0.0

    def _next_mark(self) -> float:
        if self.state.unmarked:
            return self._mark_at
        return self._listened_at + self.state.heartbeats.next if self._listened_at is not None else float("inf")

    def _listen(self, now: float) -> None:
        """Count the time since the last turn as time in which heartbeats were received, if they were watched.

        Of a very long turn only a part counts. The process may have been stopped, and the heartbeats of that time have
        not been read yet.
        """
        if self._listened_at is not None:
            self.state.heartbeats.listen(min(now - self._listened_at, 2 * self._settings.idle_turn))
        self._listened_at = now if self._listening() else None

    def _reconcile(self) -> None:
        now = time.monotonic()
        try:
            if now >= self._list_at and now >= self._blocked:
                self._list_policies(now)
            if now >= self.settings_list.next and now >= self._blocked:
                self.settings_list.take(now)
            if self.state.unlisted:
                return
            if not self._complete:
                self._complete = True
                log.info("all collections are listed: %s", self.state)
            self._evaluate()
            if now >= self._blocked:
                self._modes.write(time.monotonic(), datetime.now(UTC))
                self._write_statuses()
                self._create_oomnodes()
                self._mark_silent()
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
        now, today = time.monotonic(), datetime.now(UTC)
        self._schedule.reconsider(names, now, today)
        self._modes.reconsider(now, today)
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

    def _mark_silent(self) -> None:
        """Set the conditions of the OOMNodes of silent agents to `Unknown`. A refusal delays only these writes."""
        now = time.monotonic()
        for uid, reason in list(self.state.unmarked.items())[: self._settings.writes_per_turn]:
            if now < self._mark_at:
                return
            report = self.state.nodes.reports[uid]
            conditions = nodestatus.unknown(report, reason, self._settings.namespace, datetime.now(UTC))
            try:
                raw = actions.apply_conditions(self._connection, report.name, uid, report.version, conditions)
            except ApiError as error:
                if error.status == 429 or error.status >= 500:
                    raise
                if error.status not in (404, 409):
                    self._mark_at = now + self._settings.retry_max
                    self._metrics.errors.labels("OOMNode").inc()
                    log.warning("cannot set the conditions of OOMNode %s to Unknown: %s", report.name, error)
                    return
                # The OOMNode has changed or is gone, and an event of that will arrive.
                del self.state.unmarked[uid]
            else:
                log.warning("OOMNode %s: %s", report.name, conditions[0]["message"])
                self._metrics.writes.labels("OOMNode").inc()
                del self.state.unmarked[uid]
                self.state.oomnode(uid, node_report(raw))

    def _block(self, error: ApiError | UnreachableError) -> None:
        asked = error.retry_after if isinstance(error, ApiError) else None
        delay = self._backoff.failed(asked or 0.0)
        self._blocked = time.monotonic() + delay
        self._metrics.errors.labels("any").inc()
        log.warning("%s. Retrying in %.1f s", error, delay)

# SPDX-License-Identifier: Apache-2.0
"""Writes `spec.mode` of OOMNodes and the status of OOMSettings. The loop calls it in each of its turns."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from oompolicy.controller import actions, settingsstatus
from oompolicy.controller.policystatus import Pace
from oompolicy.controller.settingsstatus import COUNTS, NodeModes
from oompolicy.controller.watches import node_report
from oompolicy.kube.errors import ApiError

if TYPE_CHECKING:
    from datetime import datetime

    from oompolicy.controller.metrics import Metrics
    from oompolicy.controller.settings import Settings
    from oompolicy.controller.state import State
    from oompolicy.kube.connection import Connection

log = logging.getLogger(__name__)


class ModeWriter:
    """The due writes. Times are in seconds of a monotonic clock. A refusal delays only the writes of its kind."""

    def __init__(self, connection: Connection, settings: Settings, metrics: Metrics, state: State) -> None:
        self._connection, self._settings, self._metrics, self._state = connection, settings, metrics, state
        self._pace = Pace(COUNTS)
        self._modes_at = 0.0
        self._status_due = float("inf")
        self._status_at = 0.0
        self._late_at = float("inf")

    @property
    def next(self) -> float:
        """The time of the first due write or conclusion, or infinity."""
        modes = self._modes_at if self._state.modes.unwritten else float("inf")
        return min(modes, self._status_due, self._late_at)

    def reconsider(self, now: float, today: datetime) -> None:
        """Schedule the status again, because it may have changed."""
        wanted = self._wanted(now, today)
        record = self._state.modes.settings.record
        due = self._pace.due(wanted, record.status, now, self._settings) if wanted and record else None
        self._status_due = float("inf") if due is None else max(due, self._status_at)
        self._late_at = self._state.modes.next_late(now, self._settings.mode_settle)

    def write(self, now: float, today: datetime) -> None:
        """Write all that is due. Raise ApiError or UnreachableError if the API server cannot serve any request."""
        self._write_modes(now)
        if now >= self._status_due:
            self._write_status(now, today)

    def _write_modes(self, now: float) -> None:
        modes = self._state.modes
        for uid, mode in list(modes.unwritten.items())[: self._settings.writes_per_turn]:
            if now < self._modes_at:
                return
            name = self._state.nodes.reports[uid].name
            try:
                raw = actions.apply_mode(self._connection, name, uid, mode)
            except ApiError as error:
                if error.status == 429 or error.status >= 500:
                    raise
                if error.status not in (404, 409):
                    self._modes_at = now + self._settings.retry_max
                    self._refused(f"spec.mode of OOMNode {name}", "OOMNode", error)
                    return
                # The OOMNode is gone, or another field manager has just set its mode. An event of that will arrive.
                del modes.unwritten[uid]
            else:
                self._metrics.writes.labels("OOMNode").inc()
                del modes.unwritten[uid]
                self._state.oomnode(uid, node_report(raw))

    def _write_status(self, now: float, today: datetime) -> None:
        table, wanted = self._state.modes.settings, self._wanted(now, today)
        self._status_due = float("inf")
        if table.record is None or wanted is None:
            return
        try:
            raw = actions.apply_settings_status(self._connection, table.record.uid, wanted)
        except ApiError as error:
            if error.status == 429 or error.status >= 500:
                raise
            self._status_due = self._status_at = now + self._settings.retry_max
            if error.status not in (404, 409):  # the object is deleted or replaced, and an event of that will arrive
                self._refused("the status of OOMSettings", "OOMSettings", error)
        else:
            self._metrics.writes.labels("OOMSettings").inc()
            self._pace.wrote(table.record.status, wanted, now, self._settings)
            self._state.settings(raw)

    def _refused(self, target: str, kind: str, error: ApiError) -> None:
        self._metrics.errors.labels(kind).inc()
        log.warning("cannot write %s: %s. Retrying in %.0f s", target, error, self._settings.retry_max)

    def _wanted(self, now: float, today: datetime) -> dict[str, Any] | None:
        modes = self._state.modes
        late = modes.late(now, self._settings.mode_settle)
        if modes.settings.record is None:
            return None
        nodes = NodeModes(
            self._state.by_mode,
            self._state.backends,
            frozenset(modes.applied_entries()),
            bool(modes.differing),
            late,
            modes.overridden,
        )
        return settingsstatus.build(modes.settings.record, modes.settings.valid, nodes, today)

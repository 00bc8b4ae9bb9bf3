# SPDX-License-Identifier: Apache-2.0
"""Lists OOMSettings for the loop: at the start, then rarely, and soon if the watch may have missed a change."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from oompolicy.controller import actions
from oompolicy.kube.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable

    from oompolicy.controller.metrics import Metrics
    from oompolicy.controller.settings import Settings
    from oompolicy.controller.state import State
    from oompolicy.kube.connection import Connection

log = logging.getLogger(__name__)


class SettingsList:
    """The list of OOMSettings. `next` is the time of the next one, in seconds of a monotonic clock.

    A cluster may have a definition or a role of an earlier version. Neither stops the work on policies.
    """

    def __init__(
        self,
        connection: Connection,
        settings: Settings,
        metrics: Metrics,
        state: State,
        watchable: Callable[[], None],
    ) -> None:
        """Take a callback for the time when OOMSettings can be watched: once, and once after each `watch_ended`."""
        self._connection, self._settings, self._metrics, self._state = connection, settings, metrics, state
        self._watchable = watchable
        self._watched = False
        self._logged = ""  # the problem that was logged last
        self.next = 0.0

    def recheck(self) -> None:
        """List soon, because the known settings may be outdated. Only a posted change may call this."""
        self.next = 0.0

    def watch_ended(self) -> None:
        """Note that the watch ended, maybe because the definition was deleted. Only a posted change may call this."""
        self.next = 0.0
        self._watched = False

    def take(self, now: float) -> None:
        """List, and record the result. Raise ApiError or UnreachableError if no request can be served."""
        record = self._state.modes.settings.record
        try:
            found = actions.list_settings(self._connection)
        except ApiError as error:
            if error.status == 429 or error.status >= 500:
                raise
            self._metrics.errors.labels("OOMSettings").inc()
            self._failed(now, f"cannot list OOMSettings: {error}. The modes of nodes stay as they are")
            return
        self._state.settings_listed(found or (), record.uid if record else "")
        if found is None:
            self._failed(now, "OOMSettings is not defined: apply crds/. Until then, nodes keep their modes")
            return
        self._logged, self.next = "", now + self._settings.policy_check
        if not self._watched:
            self._watched = True
            self._watchable()

    def _failed(self, now: float, problem: str) -> None:
        self.next = now + self._settings.retry_max
        if problem != self._logged:
            self._logged = problem
            log.warning("%s", problem)

# SPDX-License-Identifier: Apache-2.0
"""Runs the informers, kopf and the loop of the active replica. On a standby, none of them runs.

On a standby they would need as much memory and CPU as on the active replica. That would save only the seconds of the
first lists, and nothing in the cluster waits for the operator.
"""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from oompolicy.controller.handlers import OF_SETTINGS, Handlers
from oompolicy.controller.loop import Loop
from oompolicy.controller.watches import informers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from oompolicy.controller.metrics import Metrics
    from oompolicy.controller.settings import Settings
    from oompolicy.kube.connection import Connection

_STUCK: Final = 120.0
"""Seconds without a turn of the loop, which has one at least every ten seconds. A turn that takes in 150,000 pods at
once lasts for some seconds."""
_KOPF_END: Final = 5.0
"""Seconds for kopf to end its tasks. kopf writes nothing, so nothing is lost if it takes longer."""

log = logging.getLogger(__name__)


class Leader:
    """The work of the active replica. `run` is called once."""

    def __init__(self, connection: Connection, settings: Settings, metrics: Metrics) -> None:
        self._loop = Loop(
            connection,
            settings,
            metrics,
            self._watch_policies,
            self._oomnodes_watched,
            settings_watchable=self._watch_settings,
        )
        self._informers = informers(connection, self._loop.state, self._loop.post)
        self._handlers = Handlers(connection.credentials, self._receive, self._policies_unwatched)
        self._settings_handlers = Handlers(
            connection.credentials, self._receive_settings, self._settings_unwatched, collection=OF_SETTINGS
        )
        metrics.watch({**self._informers, "policies": self._handlers, "settings": self._settings_handlers})

    def run(self) -> None:
        """Run until `stop`."""
        for informer in self._informers.values():
            informer.start()
        try:
            self._loop.run()
        finally:
            for informer in self._informers.values():
                informer.stop()
            self._handlers.stop(_KOPF_END)
            self._settings_handlers.stop(_KOPF_END)

    def stop(self) -> None:
        """Stop `run`. Any thread or signal handler may call this, also before `run`."""
        self._loop.stop()

    def stuck(self) -> tuple[str, ...]:
        """Return the problems that only a restart solves."""
        idle = time.monotonic() - self._loop.last_turn
        still = (f"the loop has not turned for {idle:.0f} s",) if idle > _STUCK else ()
        dead = (f"the thread that watches {name} has died" for name, each in self._informers.items() if each.dead)
        return (*still, *dead)

    def unready(self) -> tuple[str, ...]:
        """Return the reasons why the reported status may be wrong."""
        unlisted = (f"{name}: not listed yet" for name in sorted(self._loop.state.unlisted))
        kopfs = (self._handlers.failing, self._settings_handlers.failing)
        watches = (*kopfs, *(informer.failing for informer in self._informers.values()))
        return (*unlisted, *filter(None, watches))

    def _watch_policies(self) -> None:
        self._handlers.start()

    def _watch_settings(self) -> None:
        self._settings_handlers.start()

    def _oomnodes_watched(self) -> bool:
        return self._informers["oomnodes"].failing is None

    def _policies_unwatched(self) -> None:
        self._loop.post(self._loop.watch_ended)

    def _settings_unwatched(self) -> None:
        self._loop.post(self._loop.settings_list.watch_ended)

    def _receive(self, kind: str | None, raw: Mapping[str, Any]) -> None:
        state, metadata = self._loop.state, raw["metadata"]
        if kind == "DELETED":
            self._loop.post(partial(state.policy_deleted, metadata["name"], metadata["uid"]))
            return
        self._loop.post(partial(state.policy, raw))
        if kind is None:
            # kopf lists, maybe because its watch expired. It does not report the policies that were deleted meanwhile.
            self._loop.post(self._loop.recheck_policies)

    def _receive_settings(self, kind: str | None, raw: Mapping[str, Any]) -> None:
        state = self._loop.state
        if kind == "DELETED":
            self._loop.post(partial(state.settings_deleted, raw["metadata"]["uid"]))
            return
        self._loop.post(partial(state.settings, raw))
        if kind is None:  # as above
            self._loop.post(self._loop.settings_list.recheck)

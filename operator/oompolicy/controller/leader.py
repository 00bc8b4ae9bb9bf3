# SPDX-License-Identifier: Apache-2.0
"""What the active replica runs: informers, kopf and the loop. A standby has none of it running.

On standby they would cost as much memory and CPU as on the active replica, to save the seconds of one list; and
nothing in the cluster waits for the operator.
"""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from oompolicy.controller.handlers import Handlers
from oompolicy.controller.loop import Loop
from oompolicy.controller.watches import informers

if TYPE_CHECKING:
    from collections.abc import Mapping

    from oompolicy.controller.metrics import Metrics
    from oompolicy.controller.settings import Settings
    from oompolicy.kube.connection import Connection

_STUCK: Final = 120.0
"""Seconds without a turn of the loop, which has one every ten; taking in 150,000 pods at once is a turn of some."""
_KOPF_END: Final = 5.0
"""Seconds for kopf to end its tasks. It writes nothing, so nothing is lost if it does not."""

log = logging.getLogger(__name__)


class Leader:
    """Runs once."""

    def __init__(self, connection: Connection, settings: Settings, metrics: Metrics) -> None:
        """It runs nothing yet."""
        self._loop = Loop(connection, settings, metrics, self._watch)
        self._informers = informers(connection, self._loop.state, self._loop.post)
        self._handlers = Handlers(connection.credentials, self._seen, self._unwatched)
        metrics.watch({**self._informers, "policies": self._handlers})

    def run(self) -> None:
        """Until `stop`."""
        for informer in self._informers.values():
            informer.start()
        try:
            self._loop.run()
        finally:
            for informer in self._informers.values():
                informer.stop()
            self._handlers.stop(_KOPF_END)

    def stop(self) -> None:
        """From any thread or signal handler, also before it runs."""
        self._loop.stop()

    def stuck(self) -> tuple[str, ...]:
        """Why it is not alive."""
        idle = time.monotonic() - self._loop.beat
        still = (f"the loop has not turned for {idle:.0f} s",) if idle > _STUCK else ()
        dead = (f"the watch of {name} has ended by a defect" for name, each in self._informers.items() if each.dead)
        return (*still, *dead)

    def unready(self) -> tuple[str, ...]:
        """Why what it says may not be true."""
        unlisted = (f"{name}: not listed yet" for name in sorted(self._loop.state.unlisted))
        watches = (self._handlers.failing, *(informer.failing for informer in self._informers.values()))
        return (*unlisted, *filter(None, watches))

    def _watch(self) -> None:
        self._handlers.start()

    def _unwatched(self) -> None:
        self._loop.post(self._loop.policies_unwatched)

    def _seen(self, kind: str | None, raw: Mapping[str, Any]) -> None:
        state, metadata = self._loop.state, raw["metadata"]
        if kind == "DELETED":
            self._loop.post(partial(state.policy_deleted, metadata["name"], metadata["uid"]))
            return
        self._loop.post(partial(state.policy, raw))
        if kind is None:
            # kopf lists, maybe because its watch had expired, and does not say what has gone meanwhile.
            self._loop.post(self._loop.policies_doubtful)

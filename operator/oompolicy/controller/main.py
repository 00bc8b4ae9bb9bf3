# SPDX-License-Identifier: Apache-2.0
"""Starts the operator, leads when it is elected, and ends it on a signal or when it leads no longer."""

from __future__ import annotations

import logging
import signal
import sys
import time
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

from oompolicy.controller import settings
from oompolicy.controller.election import Election
from oompolicy.controller.leader import Leader
from oompolicy.controller.metrics import Metrics
from oompolicy.controller.serve import serve
from oompolicy.kube.connection import connect

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oompolicy.controller.settings import Settings

_STUCK: Final = 60.0
"""Seconds without an attempt at the Lease, of which there is one every two at least, or ten on a slow server."""

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command: 0 after a signal, 1 where it cannot start or leads no longer, 2 for a wrong command line."""
    chosen = settings.parse(arguments)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname).1s %(message)s")
    logging.getLogger("kopf").setLevel(logging.ERROR)  # it warns that signals are ours, which they are
    try:
        operator = Operator(chosen)
    except (OSError, ValueError) as error:
        log.error("cannot start: %s", error)  # noqa: TRY400 (no traceback: the sentence says it all)
        return 1
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: operator.end())
    return operator.run()


class Operator:
    """One replica: on standby until it is elected, then leading until its end."""

    def __init__(self, chosen: Settings) -> None:
        """OSError, ValueError: a sentence, such as that the address is in use."""
        self._settings = chosen
        self._metrics = Metrics()
        connection = connect(chosen.kubeconfig)
        self._leader = Leader(connection, chosen, self._metrics)
        # Queues and no locks: a signal handler may find a lock held by the very thread that it interrupts.
        self._elected: SimpleQueue[bool] = SimpleQueue()
        self._ending = False
        self._failure = ""
        self._election = Election(
            connection, chosen, self._metrics, elected=lambda: self._elected.put(True), lost=self.end
        )
        probes = {"/livez": self._stuck, "/readyz": self._unready}
        serve(chosen.listen, self._metrics.registry, probes)

    def end(self, failure: str = "") -> None:
        """From any thread or signal handler; `failure` says why where it is one."""
        self._failure = self._failure or failure
        self._ending = True
        self._elected.put(False)
        self._leader.stop()

    def run(self) -> int:
        """Until a signal, or until it can lead no longer: the exit status."""
        self._election.start()
        log.info("standby: %s", self._settings.identity)
        try:
            if self._elected.get() and not self._ending:
                self._leader.run()
        finally:
            # Only now that nothing is written any more; also when a defect ended it.
            self._election.stop()
        if self._failure:
            log.error("ended: %s", self._failure)
        else:
            log.info("ended by a signal")
        return 1 if self._failure else 0

    def _stuck(self) -> tuple[str, ...]:
        idle = time.monotonic() - self._election.beat
        held_up = (f"nobody asked for the Lease for {idle:.0f} s",) if idle > _STUCK else ()
        return (*held_up, *(self._leader.stuck() if self._election.leading else ()))

    def _unready(self) -> tuple[str, ...]:
        if self._election.leading:
            return self._leader.unready()
        return () if self._election.answered else ("the Lease could not be read yet",)

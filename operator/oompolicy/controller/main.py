# SPDX-License-Identifier: Apache-2.0
"""Starts the operator, leads when it is elected, and ends on a signal or when the Lease is lost."""

from __future__ import annotations

import logging
import signal
import time
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final

from oompolicy.controller import settings
from oompolicy.controller.election import Election
from oompolicy.controller.leader import Leader
from oompolicy.controller.metrics import Metrics
from oompolicy.controller.serve import serve
from oompolicy.kube.connection import connect
from oompolicy.logs import start_logging

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oompolicy.controller.settings import Settings

_STUCK: Final = 60.0
"""Seconds without an attempt to get or renew the Lease. There is one every two seconds, or every ten if the API server
is slow."""

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Return 0 after a signal, and 1 if it cannot start or loses the Lease.

    A wrong command line exits with 2.
    """
    chosen = settings.parse(arguments)
    start_logging()
    # kopf warns that it does not handle signals, and this is intended.
    logging.getLogger("kopf").setLevel(logging.ERROR)
    try:
        operator = Operator(chosen)
    except (OSError, ValueError) as error:
        log.error("cannot start: %s", error)  # noqa: TRY400 (no traceback: the message is complete)
        return 1
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: operator.end())
    return operator.run()


class Operator:
    """One replica. It is on standby until it is elected, and then leads until its end."""

    def __init__(self, chosen: Settings) -> None:
        """Connect and serve the probes. Raise OSError or ValueError with a sentence, such as for an address in use."""
        self._settings = chosen
        self._metrics = Metrics()
        connection = connect(chosen.kubeconfig)
        self._leader = Leader(connection, chosen, self._metrics)
        # Queues and no locks: a signal handler may find a lock held by the very thread that it interrupts.
        self._elected: SimpleQueue[bool] = SimpleQueue()
        self._ending = False
        self._failure: str | None = None
        self._election = Election(
            connection, chosen, self._metrics, elected=lambda: self._elected.put(True), lost=self.end
        )
        probes = {"/livez": self._stuck, "/readyz": self._unready}
        serve(chosen.listen, self._metrics.registry, probes)

    def end(self, failure: str | None = None) -> None:
        """End `run`. Any thread or signal handler may call this. `failure` is the reason, and `None` after a signal."""
        self._failure = self._failure or failure
        self._ending = True
        self._elected.put(False)
        self._leader.stop()

    def run(self) -> int:
        """Run until a signal or until the Lease is lost. Return the exit status."""
        self._election.start()
        log.info("standby: %s", self._settings.identity)
        try:
            if self._elected.get() and not self._ending:
                self._leader.run()
        finally:
            # The Lease is released only now, because nothing is written any more. An exception releases it too.
            self._election.stop()
        if self._failure:
            log.error("ended: %s", self._failure)
        else:
            log.info("ended by a signal")
        return 1 if self._failure else 0

    def _stuck(self) -> tuple[str, ...]:
        idle = time.monotonic() - self._election.last_turn
        late = (f"no attempt to get or renew the Lease for {idle:.0f} s",) if idle > _STUCK else ()
        return (*late, *(self._leader.stuck() if self._election.leading else ()))

    def _unready(self) -> tuple[str, ...]:
        if self._election.leading:
            return self._leader.unready()
        return () if self._election.answered else ("the Lease could not be read yet",)

# SPDX-License-Identifier: Apache-2.0
"""Takes the Lease, keeps it, and gives it back: of two operators one is active.

Not by `kubernetes.leaderelection` (37.0.2): it never releases a Lease, so that each rollout would wait for it to
expire, and its thread dies of the first connection that is refused.
"""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from oompolicy.controller import lease
from oompolicy.kube.errors import ApiError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from oompolicy.controller.lease import Observed
    from oompolicy.controller.metrics import Metrics
    from oompolicy.controller.settings import Settings
    from oompolicy.kube.connection import Connection

NAME: Final = "oompolicy-operator"
_TIMEOUT: Final = 4.0
"""Seconds for one request: a leader has time for two of them before it must give up."""

log = logging.getLogger(__name__)


class Election:
    """A thread that calls `elected` once, and `lost` at most once after that. Then it is over for this process."""

    def __init__(
        self,
        connection: Connection,
        settings: Settings,
        metrics: Metrics,
        *,
        elected: Callable[[], None],
        lost: Callable[[str], None],
    ) -> None:
        """Not begun yet."""
        self._connection, self._settings, self._metrics = connection, settings, metrics
        self._elected, self._lost = elected, lost
        self._path = f"/apis/coordination.k8s.io/v1/namespaces/{settings.namespace}/leases"
        self._observed: Observed | None = None
        self._renewed = 0.0
        self._said = ""
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="election", daemon=True)
        self.leading = False
        self.answered = False
        self.beat = time.monotonic()

    def start(self) -> None:
        """Begin to ask for the Lease."""
        self._thread.start()

    def stop(self) -> None:
        """Give the Lease back, if it is ours, so that another need not wait until it expires."""
        self._stopped.set()
        self._thread.join()
        if self.leading and self._observed:
            self.leading = False
            try:
                self._put(lease.released(self._observed.spec, _now()))
            except (ApiError, UnreachableError) as error:
                self._failed(error)

    def _run(self) -> None:
        while not self._stopped.is_set():
            self.beat = time.monotonic()
            try:
                self._turn()
                self.answered, self._said = True, ""
            except (ApiError, UnreachableError) as error:
                self._failed(error)
            if self.leading:
                self._check()
            self._stopped.wait(self._settings.renew_every if self.leading else self._settings.standby_every)

    def _turn(self) -> None:
        started = time.monotonic()
        try:
            done = self._keep() if self.leading else self._take()
        except ApiError as error:
            if error.status != 409:
                raise
            # Somebody else wrote it since we read it: it may be taken, or only have a new label.
            self._read()
            return
        if done:
            self._renewed = started
        if done and not self.leading:
            self._lead()

    def _lead(self) -> None:
        self.leading = True
        self._metrics.leader.set(1)
        log.info("leading: %s holds the Lease %s/%s", self._settings.identity, self._settings.namespace, NAME)
        self._elected()

    def _check(self) -> None:
        holder = self._observed.holder if self._observed else ""
        late = time.monotonic() - self._renewed
        if holder != self._settings.identity:
            self._give_up(f"the Lease is held by {holder or 'nobody'}")
        elif late > self._settings.renew_deadline:
            self._give_up(f"the Lease could not be renewed for {late:.0f} s")

    def _give_up(self, reason: str) -> None:
        self.leading = False
        self._metrics.leader.set(0)
        self._stopped.set()
        self._lost(reason)

    def _keep(self) -> bool:
        observed = self._observed or self._read()
        self._put(lease.renewed(observed.spec, _now()))
        return True

    def _take(self) -> bool:
        mine = self._settings.identity, self._settings.lease_duration
        try:
            observed = self._read()
        except ApiError as error:
            if error.status != 404:
                raise
            self._send("POST", self._path, {"metadata": {"name": NAME}, "spec": lease.taken({}, *mine, _now())})
            return True
        if not observed.free(time.monotonic()):
            return False
        self._put(lease.taken(observed.spec, *mine, _now()))
        return True

    def _read(self) -> Observed:
        raw = self._connection.request("GET", f"{self._path}/{NAME}", timeout=_TIMEOUT)
        self._observed = lease.observe(raw, self._observed, time.monotonic())
        return self._observed

    def _put(self, spec: dict[str, Any]) -> None:
        """With the resource version that was read, so that of two that write one is refused."""
        raw = self._observed.raw if self._observed else {}
        self._send("PUT", f"{self._path}/{NAME}", {**raw, "spec": spec})

    def _send(self, method: str, path: str, body: dict[str, Any]) -> None:
        whole = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", **body}
        raw = self._connection.request(method, path, body=whole, timeout=_TIMEOUT)
        self._metrics.writes.labels("Lease").inc()
        self._observed = lease.observe(raw, None, time.monotonic())

    def _failed(self, error: Exception) -> None:
        self._metrics.errors.labels("Lease").inc()
        if str(error) != self._said:  # once, and not every second while the API server is away
            self._said = str(error)
            log.warning("Lease %s/%s: %s", self._settings.namespace, NAME, error)


def _now() -> datetime:
    return datetime.now(UTC)

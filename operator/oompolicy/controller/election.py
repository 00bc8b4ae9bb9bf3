# SPDX-License-Identifier: Apache-2.0
"""Takes, renews and releases the Lease, so that only one of two operators is active.

This is written by hand because `kubernetes.leaderelection` (37.0.2) never releases a Lease, so each rollout would wait
until the Lease expires, and because its thread ends at the first refused connection.
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
"""Seconds for one request. A leader has time for two requests before it must stop leading."""

log = logging.getLogger(__name__)


class Election:
    """A thread that calls `elected` once, and later `lost` at most once. After `lost`, it never asks for the Lease."""

    def __init__(
        self,
        connection: Connection,
        settings: Settings,
        metrics: Metrics,
        *,
        elected: Callable[[], None],
        lost: Callable[[str], None],
    ) -> None:
        self._connection, self._settings, self._metrics = connection, settings, metrics
        self._elected, self._lost = elected, lost
        self._path = f"/apis/coordination.k8s.io/v1/namespaces/{settings.namespace}/leases"
        self._observed: Observed | None = None
        self._renewed = 0.0
        self._logged: str | None = None  # the failure that was logged last
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="election", daemon=True)
        self.leading = False
        self.answered = False
        self.last_turn = time.monotonic()

    def start(self) -> None:
        """Start to ask for the Lease."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and release a Lease that this process holds, so that the next holder need not wait."""
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
            self.last_turn = time.monotonic()
            try:
                self._turn()
                self.answered, self._logged = True, None
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
            # The Lease was written since it was read. Another operator may hold it, or only a label may be new.
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
        """Write the spec with the resource version that was read, so that the second of two writers is refused."""
        raw = self._observed.raw if self._observed else {}
        self._send("PUT", f"{self._path}/{NAME}", {**raw, "spec": spec})

    def _send(self, method: str, path: str, body: dict[str, Any]) -> None:
        whole = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", **body}
        raw = self._connection.request(method, path, body=whole, timeout=_TIMEOUT)
        self._metrics.writes.labels("Lease").inc()
        self._observed = lease.observe(raw, None, time.monotonic())

    def _failed(self, error: Exception) -> None:
        self._metrics.errors.labels("Lease").inc()
        if str(error) != self._logged:  # once, and not every second while the API server is unreachable
            self._logged = str(error)
            log.warning("the request for Lease %s/%s failed: %s", self._settings.namespace, NAME, error)


def _now() -> datetime:
    return datetime.now(UTC)

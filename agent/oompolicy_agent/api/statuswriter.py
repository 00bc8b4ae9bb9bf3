# SPDX-License-Identifier: Apache-2.0
"""Writes the OOMNode's status from a thread of its own: always the newest, and what cannot wait at once.

All else is written with the next heartbeat, which is due within `status_every` of the last write, whatever that wrote.
An OOMNode that was deleted and made anew is filled again by it.
"""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime
from threading import Condition, Thread
from typing import TYPE_CHECKING, Any, Final

from oompolicy.kube.connection import apply
from oompolicy.kube.errors import ApiError, UnreachableError
from oompolicy_agent.api.backoff import Backoff
from oompolicy_agent.api.nodestatus import MANAGER, body, path_of, urgent, with_heartbeat

if TYPE_CHECKING:
    from collections.abc import Mapping

    from oompolicy.kube.connection import Connection
    from oompolicy_agent.api.wake import Wake
    from oompolicy_agent.settings import Settings
    from oompolicy_agent.status.counters import Counters


_SOONEST: Final = 0.7
"""The part of `status_every` after which a heartbeat may be written. 5,000 agents that were started together, or that
applied the same new policy, are spread over 90 s by it: 55 writes a second, and 20 a second in the long run."""


class StatusWriter:
    """`problem` is a sentence while the status cannot be written, or empty."""

    def __init__(
        self,
        connection: Connection,
        settings: Settings,
        tally: Counters,
        wake: Wake,
        *,
        boot_id: str,
        backoff: Backoff | None = None,
    ) -> None:
        """Take the id of this boot, which becomes part of each status. `wake` is set when `problem` changes."""
        self._connection, self._node, self._every = connection, settings.node, settings.status_every
        self._tally, self._wake, self._boot_id = tally, wake, boot_id
        self._backoff = backoff or Backoff()
        self._changed = Condition()
        self._latest: Mapping[str, Any] | None = None
        self._written: Mapping[str, Any] | None = None
        self._next = 0.0
        self._not_before = 0.0
        self._stopped = False
        self.problem = ""
        self._thread = Thread(target=self._run, name="status writer", daemon=True)
        self._thread.start()

    def offer(self, status: Mapping[str, Any]) -> None:
        """The newest status; it is never changed afterwards."""
        latest = with_heartbeat(status, self._boot_id, datetime.now(UTC))
        with self._changed:
            self._latest = latest
            self._changed.notify()

    @property
    def alive(self) -> bool:
        """Whether its thread runs."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Write no more."""
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def _run(self) -> None:
        while (status := self._wait()) is not None:
            delay = self._write(status)
            self._not_before = time.monotonic() + delay

    def _wait(self) -> Mapping[str, Any] | None:
        """The status to write, when it is time; None once stopped."""
        with self._changed:
            while not self._stopped:
                delay = self._delay()
                if self._latest is not None and delay == 0.0:
                    return self._latest
                self._changed.wait(delay)
        return None

    def _delay(self) -> float | None:
        if self._latest is None:
            return None
        waits = self._written is not None and urgent(self._latest) == urgent(self._written)
        return max(0.0, max(self._not_before, self._next if waits else 0.0) - time.monotonic())

    def _write(self, status: Mapping[str, Any]) -> float:
        """Seconds to wait before the next try."""
        content = body(self._node, status)
        try:
            apply(self._connection, path_of(self._node), content, manager=MANAGER, subresource="status", force=True)
        except (ApiError, UnreachableError) as error:
            return self._failed(error)
        self._backoff.succeeded()
        wait = self._every * random.uniform(_SOONEST, 1.0)  # noqa: S311 - spreads the agents, and keeps no secret
        self._written, self._next = status, time.monotonic() + wait
        self._state("")
        return 0.0

    def _state(self, problem: str) -> None:
        if problem != self.problem:
            self.problem = problem
            self._wake.set()

    def _failed(self, error: ApiError | UnreachableError) -> float:
        refused = error if isinstance(error, ApiError) else None
        self._tally.error("status", refused.status if refused else None)
        if refused and refused.status == 404:
            self._state(f"there is no OOMNode {self._node} yet: the operator creates it")
        else:
            self._state(f"the status of OOMNode {self._node} cannot be written: {error}")
        return self._backoff.failed((refused.retry_after if refused else None) or 0.0)

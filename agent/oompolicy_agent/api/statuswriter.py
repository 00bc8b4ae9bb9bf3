# SPDX-License-Identifier: Apache-2.0
"""Writes the status of the OOMNode from a thread of its own. It always writes the newest status.

An urgent change is written at once. Any other change is written with the next heartbeat, which is due within
`status_every` of the last write. A write for any reason has the heartbeat, so heartbeats cause no further writes while
there are others. An OOMNode that was deleted and created again gets its status back by the next heartbeat.
"""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime
from threading import Condition, Thread
from typing import TYPE_CHECKING, Any, Final

from oompolicy.api import API_VERSION, OOMNODES
from oompolicy.kube.backoff import Backoff
from oompolicy.kube.connection import apply
from oompolicy.kube.errors import ApiError, UnreachableError
from oompolicy.timestamps import api_time
from oompolicy_agent.status.scores import ORDER_HOLDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from oompolicy.kube.connection import Connection
    from oompolicy_agent.api.wake import Wake
    from oompolicy_agent.settings import Settings
    from oompolicy_agent.status.counters import Counters

MANAGER: Final = "oompolicy-agent"

_FIELDS: Final = (
    "mode", "backend", "backendReason", "hook", "kernelVersion", "policyHash", "order", "counts", "lastVictims",
    "conditions", "lastHeartbeatTime", "bootID",
)  # fmt: skip
_URGENT: Final = ("mode", "backend", "hook", "policyHash")
_SOONEST: Final = 0.7
"""The part of `status_every` after which a heartbeat may be written. This spreads 5,000 agents that were started
together, or that applied the same new policy, over 90 s. They write 55 times a second then, and 20 times in the long
run."""


def path_of(node: str) -> str:
    """Return the path of the node's OOMNode."""
    return f"{OOMNODES}/{node}"


def body(node: str, status: Mapping[str, Any]) -> dict[str, Any]:
    """Return the OOMNode to apply, made from the content of status.json. Pure.

    It has all fields that the agent owns: server-side apply removes a field that is left out.
    """
    kept = {name: status[name] for name in _FIELDS if status.get(name) is not None}
    return {"apiVersion": API_VERSION, "kind": "OOMNode", "metadata": {"name": node}, "status": kept}


def with_heartbeat(status: Mapping[str, Any], boot_id: str, now: datetime) -> dict[str, Any]:
    """Return the status with the heartbeat that the operator expects from a living agent. Pure.

    `now` is the time at which the agent's loop made the status, and not the time of the write. A loop that hangs makes
    no status, so its OOMNode gets no new heartbeat although the thread that writes it still runs.
    """
    return {**status, "lastHeartbeatTime": api_time(now), "bootID": boot_id}


def urgent(status: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the part of the status whose changes are written at once. Pure.

    The reason of a true condition is not part of it, because it can change with every pod. Neither is the condition
    about the order, because it can change with every look of the adjuster.
    """
    conditions = [
        (each["type"], each["status"], each["reason"] if each["status"] != "True" else "")
        for each in status["conditions"]
        if each["type"] != ORDER_HOLDS
    ]
    return (*(status.get(name) for name in _URGENT), *conditions)


class StatusWriter:
    """The thread that writes the status. `problem` is a sentence while the status cannot be written, or None."""

    def __init__(
        self,
        connection: Connection,
        settings: Settings,
        counters: Counters,
        wake: Wake,
        *,
        boot_id: str,
        backoff: Backoff | None = None,
    ) -> None:
        """Start the thread, which waits for the first status. It sets `wake` when `problem` changes.

        `boot_id` becomes part of each status.
        """
        self._connection, self._node, self._every = connection, settings.node, settings.status_every
        self._counters, self._wake, self._boot_id = counters, wake, boot_id
        self._backoff = backoff or Backoff()
        self._changed = Condition()
        self._latest: Mapping[str, Any] | None = None
        self._written: Mapping[str, Any] | None = None
        self._next = 0.0
        self._not_before = 0.0
        self._stopped = False
        self.problem: str | None = None
        self._thread = Thread(target=self._run, name="status writer", daemon=True)
        self._thread.start()

    def offer(self, status: Mapping[str, Any]) -> None:
        """Take the newest status. The caller must not change it afterwards."""
        latest = with_heartbeat(status, self._boot_id, datetime.now(UTC))
        with self._changed:
            self._latest = latest
            self._changed.notify()

    @property
    def alive(self) -> bool:
        """True while the thread runs."""
        return self._thread.is_alive()

    def close(self) -> None:
        """End the thread without waiting for it."""
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def _run(self) -> None:
        while (status := self._wait()) is not None:
            delay = self._write(status)
            self._not_before = time.monotonic() + delay

    def _wait(self) -> Mapping[str, Any] | None:
        """Wait until a status is due, and return it. Return None after `close`."""
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
        """Write the status, and return the seconds to wait before the next try."""
        content = body(self._node, status)
        try:
            apply(self._connection, path_of(self._node), content, manager=MANAGER, subresource="status", force=True)
        except (ApiError, UnreachableError) as error:
            return self._failed(error)
        self._backoff.succeeded()
        wait = self._every * random.uniform(_SOONEST, 1.0)  # noqa: S311 - spreads the agents, and keeps no secret
        self._written, self._next = status, time.monotonic() + wait
        self._set_problem(None)
        return 0.0

    def _set_problem(self, problem: str | None) -> None:
        if problem != self.problem:
            self.problem = problem
            self._wake.set()

    def _failed(self, error: ApiError | UnreachableError) -> float:
        refused = error if isinstance(error, ApiError) else None
        self._counters.error("status", refused.status if refused else None)
        if refused and refused.status == 404:
            self._set_problem(f"there is no OOMNode {self._node} yet: the operator creates it")
        else:
            self._set_problem(f"the status of OOMNode {self._node} cannot be written: {error}")
        return self._backoff.failed((refused.retry_after if refused else None) or 0.0)

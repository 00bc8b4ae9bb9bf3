# SPDX-License-Identifier: Apache-2.0
"""The agent's world where there is an API server."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from oompolicy.kube.connection import connect
from oompolicy_agent.api.poster import Poster
from oompolicy_agent.api.refusals import Refusals
from oompolicy_agent.api.sink import ApiSink
from oompolicy_agent.api.source import ApiSource
from oompolicy_agent.api.statuswriter import StatusWriter
from oompolicy_agent.api.wake import Wake
from oompolicy_agent.status.counters import CollectionState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from oompolicy.model import Assignment
    from oompolicy_agent.objects.source import ObjectSource
    from oompolicy_agent.settings import Settings
    from oompolicy_agent.status.counters import Counters
    from oompolicy_agent.status.problems import Problems
    from oompolicy_agent.victims.sink import EventSink


class ApiEnvironment:
    """An `Outside`. The connection is one, its sockets are one per thread."""

    def __init__(self, settings: Settings, problems: Problems, tally: Counters) -> None:
        """Read the credentials; ask nothing yet. FileNotFoundError, ValueError: a sentence."""
        connection = connect(settings.kubeconfig)
        self._wake = Wake()
        self._poster = Poster(connection, tally, self._wake)
        self._writer = StatusWriter(connection, settings, tally, self._wake)
        self._refusals = Refusals(settings, self._poster, tally)
        self._publish_at = time.monotonic() + settings.status_first
        self._followed = ApiSource(connection, settings, problems)
        self.source: ObjectSource = self._followed
        self.target: EventSink = ApiSink(settings, self._poster, tally, self._wake)

    @property
    def problem(self) -> str:
        """A sentence while the OOMNode does not say what the node says of itself, or empty."""
        return self._writer.problem

    @property
    def told(self) -> tuple[str, ...]:
        """Names of the Events on refused annotations that need not be told again, for the checkpoint."""
        return self._refusals.told

    def remember(self, told: Iterable[str]) -> None:
        """Take over what the checkpoint says was told."""
        self._refusals.remember(told)

    def tell(self, assignments: Iterable[Assignment], now: float) -> float | None:
        """Tell pods of annotations that were refused. Seconds until there is something to try again, or None."""
        return self._refusals.tell(assignments, now)

    def publish(self, status: Mapping[str, Any]) -> None:
        """Have the OOMNode say so."""
        if not self._followed.expecting or time.monotonic() >= self._publish_at:
            self._writer.offer(status)

    def followed(self) -> Mapping[str, CollectionState]:
        """Policies, namespaces, pods."""
        now = time.monotonic()
        return {
            name: CollectionState(each.heard.synced, bool(each.informer.failing), now - each.informer.last_reply)
            for name, each in self._followed.followed.items()
        }

    def dead(self) -> tuple[str, ...]:
        """A sentence for each thread that ended by a defect: only a restart helps."""
        dead = {"poster": not self._poster.alive, "status writer": not self._writer.alive}
        dead |= {f"watch of {name}": each.informer.dead for name, each in self._followed.followed.items()}
        return tuple(f"the {name} has ended by a defect" for name, gone in dead.items() if gone)

    def close(self) -> None:
        """End all threads, without waiting for any."""
        self.source.close()
        self._poster.close()
        self._writer.close()
        self._wake.close()

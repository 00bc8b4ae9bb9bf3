# SPDX-License-Identifier: Apache-2.0
"""The environment of an agent that has an API server."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from oompolicy.kube.connection import connect
from oompolicy_agent.api.circuitevent import CircuitEvents
from oompolicy_agent.api.poster import Poster
from oompolicy_agent.api.refusals import Refusals
from oompolicy_agent.api.sink import ApiSink
from oompolicy_agent.api.source import ApiSource
from oompolicy_agent.api.statuswriter import StatusWriter
from oompolicy_agent.api.wake import Wake
from oompolicy_agent.objects.checkpoint import boot_id
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
    """The `Environment` of a node with an API server. All threads share one connection, with a socket for each."""

    def __init__(self, settings: Settings, problems: Problems, counters: Counters) -> None:
        """Read the credentials and start the threads. Raise FileNotFoundError or ValueError if that fails."""
        connection = connect(settings.kubeconfig)
        self._wake = Wake()
        self._poster = Poster(connection, counters, self._wake)
        self._writer = StatusWriter(connection, settings, counters, self._wake, boot_id=boot_id())
        self._refusals = Refusals(settings, self._poster, counters)
        self._circuit = CircuitEvents(settings.node, boot_id(), self._poster, counters)
        self._publish_at = time.monotonic() + settings.status_first
        self._api_source = ApiSource(connection, settings, problems)
        self.source: ObjectSource = self._api_source
        self.target: EventSink = ApiSink(settings, self._poster, counters, self._wake)

    @property
    def problem(self) -> str | None:
        """A sentence while the status of the OOMNode cannot be written, or None."""
        return self._writer.problem

    @property
    def reported_refusals(self) -> tuple[str, ...]:
        """The names of the Events on refused annotations that were posted, for the checkpoint."""
        return self._refusals.reported

    def restore_reported(self, reported: Iterable[str]) -> None:
        """Take over the reported refusals from the checkpoint."""
        self._refusals.restore(reported)

    def report_refusals(self, assignments: Iterable[Assignment], now: float) -> float | None:
        """Post an Event for each new refusal. Return the seconds until the next try, or None."""
        return self._refusals.report(assignments, now)

    def report_circuit(self, opened_ns: int, sentence: str) -> None:
        """Post an Event on the node, once for each opening. `opened_ns` is of the boot clock."""
        self._circuit.report(opened_ns, sentence)

    def publish(self, status: Mapping[str, Any]) -> None:
        """Write the status of the OOMNode. The first write waits for complete lists, at most `status_first` seconds."""
        if not self._api_source.incomplete or time.monotonic() >= self._publish_at:
            self._writer.offer(status)

    def followed(self) -> Mapping[str, CollectionState]:
        """Return the state of each followed collection: policies, namespaces, pods."""
        now = time.monotonic()
        return {
            name: CollectionState(each.objects.synced, bool(each.informer.failing), now - each.informer.last_reply)
            for name, each in self._api_source.followed.items()
        }

    def dead_threads(self) -> tuple[str, ...]:
        """Return a sentence for each thread that a defect has ended. Only a restart of the agent helps."""
        dead = {"poster": not self._poster.alive, "status writer": not self._writer.alive}
        dead |= {f"watch of {name}": each.informer.dead for name, each in self._api_source.followed.items()}
        return tuple(f"the {name} has ended by a defect" for name, ended in dead.items() if ended)

    def close(self) -> None:
        """End all threads without waiting for them."""
        self.source.close()
        self._poster.close()
        self._writer.close()
        self._wake.close()

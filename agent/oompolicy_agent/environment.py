# SPDX-License-Identifier: Apache-2.0
"""The environment of the agent: a folder and a file, or the API server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from oompolicy_agent.objects.foldersource import FolderSource
from oompolicy_agent.victims.filesink import FileSink
from oompolicy_agent.victims.manifestfile import Output

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from oompolicy.model import Assignment
    from oompolicy_agent.objects.source import ObjectSource
    from oompolicy_agent.settings import Settings
    from oompolicy_agent.status.counters import CollectionState
    from oompolicy_agent.status.problems import Problems
    from oompolicy_agent.victims.sink import EventSink


class Environment(Protocol):
    """The source of objects, and the receivers of reports and of the status.

    Any thread may call `followed` and `dead_threads`, and the loop's thread everything. No call waits.
    """

    source: ObjectSource
    target: EventSink

    @property
    def problem(self) -> str | None:
        """A sentence while `publish` fails, or None. `target.fd` becomes readable when it changes."""

    @property
    def reported_refusals(self) -> tuple[str, ...]:
        """The names of the Events on refused annotations that were posted, for the checkpoint."""

    def restore_reported(self, reported: Iterable[str]) -> None:
        """Take over the reported refusals from the checkpoint."""

    def report_refusals(self, assignments: Iterable[Assignment], now: float) -> float | None:
        """Report refused annotations on their pods. Return the seconds until the next try, or None."""

    def report_circuit(self, opened_ns: int, sentence: str) -> None:
        """Report on the node that its circuit is open, once for each opening. `opened_ns` is of the boot clock."""

    def publish(self, status: Mapping[str, Any]) -> None:
        """Publish the node's status in the cluster."""

    def followed(self) -> Mapping[str, CollectionState]:
        """Return the state of each collection that is followed at the API server."""

    def dead_threads(self) -> tuple[str, ...]:
        """Return a sentence for each thread that a defect has ended. Only a restart of the agent helps."""

    def close(self) -> None:
        """End all threads and watches, with those of the source."""


class FolderEnvironment:
    """The `Environment` of a node without an API server. It has only status.json and the output."""

    problem = None
    reported_refusals = ()

    def __init__(self, manifests: Path, settings: Settings, problems: Problems) -> None:
        """Begin to watch the folder. Raise OSError if that fails."""
        self.source: ObjectSource = FolderSource(manifests, settings, problems)
        self.target: EventSink = FileSink(Output(settings.output, settings.output_format), settings.retry_max)

    def restore_reported(self, reported: Iterable[str]) -> None:
        """Do nothing, because no refusals are reported."""

    def report_refusals(self, assignments: Iterable[Assignment], now: float) -> None:
        """Do nothing, because status.json lists refused annotations."""

    def report_circuit(self, opened_ns: int, sentence: str) -> None:
        """Do nothing, because status.json has the condition."""

    def publish(self, status: Mapping[str, Any]) -> None:
        """Do nothing, because status.json has the status."""

    def followed(self) -> Mapping[str, CollectionState]:
        """Return nothing, because no collection is followed."""
        return {}

    def dead_threads(self) -> tuple[str, ...]:
        """Return nothing, because there are no threads."""
        return ()

    def close(self) -> None:
        """End the watch of the folder."""
        self.source.close()

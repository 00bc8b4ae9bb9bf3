# SPDX-License-Identifier: Apache-2.0
"""The world that the agent hears from and tells: a folder and a file, or the API server."""

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
    """All but `followed` and `dead` is called from the loop's thread, and nothing waits."""

    source: ObjectSource
    target: EventSink

    @property
    def problem(self) -> str:
        """A sentence while `publish` does not arrive, or empty. `target.fd` tells when it changes."""

    @property
    def told(self) -> tuple[str, ...]:
        """Names of the Events on refused annotations that need not be told again, for the checkpoint."""

    def remember(self, told: Iterable[str]) -> None:
        """Take over what the checkpoint says was told."""

    def tell(self, assignments: Iterable[Assignment], now: float) -> float | None:
        """Tell pods of annotations that were refused. Seconds until there is something to try again, or None."""

    def publish(self, status: Mapping[str, Any]) -> None:
        """Tell the cluster what the node says of itself."""

    def followed(self) -> Mapping[str, CollectionState]:
        """The API server's collections by name."""

    def dead(self) -> tuple[str, ...]:
        """A sentence for each thread that ended by a defect: only a restart helps."""

    def close(self) -> None:
        """End everything, the source's following too."""


class FolderEnvironment:
    """The `Environment` of a node without API server: status.json and the output are all that is told."""

    problem = ""
    told = ()

    def __init__(self, manifests: Path, settings: Settings, problems: Problems) -> None:
        """OSError where the folder cannot be watched."""
        self.source: ObjectSource = FolderSource(manifests, settings, problems)
        self.target: EventSink = FileSink(Output(settings.output, settings.output_format), settings.retry_max)

    def remember(self, told: Iterable[str]) -> None:
        """Nothing was."""

    def tell(self, assignments: Iterable[Assignment], now: float) -> None:
        """status.json lists what was refused."""

    def publish(self, status: Mapping[str, Any]) -> None:
        """status.json is all there is."""

    def followed(self) -> Mapping[str, CollectionState]:
        """There are none."""
        return {}

    def dead(self) -> tuple[str, ...]:
        """There are no threads."""
        return ()

    def close(self) -> None:
        """End the watch."""
        self.source.close()

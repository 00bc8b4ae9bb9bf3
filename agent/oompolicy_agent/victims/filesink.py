# SPDX-License-Identifier: Apache-2.0
"""Write reports to a file or to standard output. Each is on the disk before its spool file is removed."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Protocol

from oompolicy.kube.backoff import Backoff
from oompolicy_agent.victims.sink import Settled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from oompolicy_agent.victims.report import Report


class Writer(Protocol):
    """The interface of `manifestfile.Output` that the sink needs."""

    def write(self, manifest: Mapping[str, Any], /) -> None:
        """Append one manifest, or raise OSError."""

    def last(self) -> bytes:
        """Return the end of the written data, including that of earlier processes, or nothing if it is unknown."""


class FileSink:
    """The `EventSink` that writes to a file."""

    fd = -1

    def __init__(
        self, output: Writer, retry_max: float, uniform: Callable[[float, float], float] = random.uniform
    ) -> None:
        """Read the end of the output. `retry_max` is the longest time in seconds between two tries."""
        self._output = output
        # An earlier agent may have died between writing a report and removing its file.
        self._written = output.last()
        self._done: list[str] = []
        self._retry_at = 0.0
        self._backoff = Backoff(uniform, longest=retry_max, first=1.0)
        self.problem: str | None = None

    @property
    def stalled(self) -> bool:
        """True if the output fails."""
        return bool(self.problem)

    def offer(self, name: str, report: Report, now: float) -> bool:
        """Write the report. Return False if that fails, or failed a moment ago."""
        if now < self._retry_at:
            return False
        try:
            if name.encode() not in self._written:
                self._output.write(report.manifest)
        except OSError as error:
            self._retry_at = now + self._backoff.failed()
            self.problem = f"reports cannot be written, so victims stay spooled: {error}"
            return False
        self._done.append(name)
        self._backoff.succeeded()
        self.problem = None
        return True

    def settled(self, now: float) -> Settled:  # noqa: ARG002 (the protocol's)
        """Return the reports that were written since the last call."""
        done, self._done = tuple(self._done), []
        return Settled(done)

    def forget(self, names: Iterable[str]) -> None:
        """Do nothing, because this sink keeps no reports."""

    def wait(self, now: float) -> float | None:
        """Return the seconds until the output may be tried again, or None."""
        return max(0.0, self._retry_at - now) if self.problem else None

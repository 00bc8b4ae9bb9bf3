# SPDX-License-Identifier: Apache-2.0
"""Reports to a file or to standard output, each on the disk before its spool file goes."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Protocol

from oompolicy.kube.backoff import Backoff
from oompolicy_agent.victims.sink import Settled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from oompolicy_agent.victims.report import Report


class Writer(Protocol):
    """What is needed of `output.Output`."""

    def write(self, manifest: Mapping[str, Any], /) -> None:
        """Append one manifest, or raise OSError."""

    def last(self) -> bytes:
        """The end of what was written, also by an earlier process; empty where that cannot be known."""


class OutputTarget:
    """A `Target`."""

    fd = -1

    def __init__(
        self, output: Writer, retry_max: float, uniform: Callable[[float, float], float] = random.uniform
    ) -> None:
        """Read the end of the output. `retry_max` is the longest delay between two tries, in seconds."""
        self._output = output
        # An earlier agent may have died between writing a report and removing its file.
        self._written = output.last()
        self._done: list[str] = []
        self._retry_at = 0.0
        self._backoff = Backoff(uniform, longest=retry_max, first=1.0)
        self.problem: str | None = None

    @property
    def stalled(self) -> bool:
        """Whether the output fails."""
        return bool(self.problem)

    def offer(self, name: str, report: Report, now: float) -> bool:
        """Write it; False if that fails, or failed a moment ago."""
        if now < self._retry_at:
            return False
        try:
            if name.encode() not in self._written:
                self._output.write(report.manifest)
        except OSError as error:
            self._retry_at = now + self._backoff.failed()
            self.problem = f"victims cannot be reported and stay spooled: {error}"
            return False
        self._done.append(name)
        self._backoff.succeeded()
        self.problem = None
        return True

    def settled(self, now: float) -> Settled:  # noqa: ARG002 (the protocol's)
        """Those written since the last call."""
        done, self._done = tuple(self._done), []
        return Settled(done)

    def forget(self, names: Iterable[str]) -> None:
        """Nothing is known of them."""

    def wait(self, now: float) -> float | None:
        """Until the output may be tried again."""
        return max(0.0, self._retry_at - now) if self.problem else None

# SPDX-License-Identifier: Apache-2.0
"""What a reporter asks of wherever its reports go: a file, or the API server."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from oompolicy_agent.victims.report import Report

PARKED: Final = math.inf


class Settled(NamedTuple):
    """What became of reports that were taken over.

    `done`: they need no further care. `again`: they are to be offered again, in so many seconds; after `PARKED` seconds
    means that they were not sent, and are told once more when it is their turn.
    """

    done: tuple[str, ...] = ()
    again: tuple[tuple[str, float], ...] = ()


class EventSink(Protocol):
    """Called from the loop's thread only, and never waits for anyone. A report has its victim's identity for a name."""

    fd: int
    """Readable when `settled` has something to say; -1 where it has that at once."""

    @property
    def problem(self) -> str | None:
        """A sentence while reports are not delivered, or None."""

    @property
    def stalled(self) -> bool:
        """Whether what is offered now would take more than a moment to arrive."""

    def offer(self, name: str, report: Report, now: float) -> bool:
        """Take a report over; False where there is no room for any, until `wait` has passed or `settled` speaks."""

    def settled(self, now: float) -> Settled:
        """What became of those taken over, since the last call."""

    def forget(self, names: Iterable[str]) -> None:
        """These were dropped, and are not offered again."""

    def wait(self, now: float) -> float | None:
        """Seconds until there is something to do again without `fd` saying so, or None."""

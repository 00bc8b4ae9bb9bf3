# SPDX-License-Identifier: Apache-2.0
"""The interface of the place that reports go to: a file, or the API server."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from oompolicy_agent.victims.report import Report

PARKED: Final = math.inf


class Settled(NamedTuple):
    """The outcome of reports that the sink has accepted.

    Reports in `done` need nothing more. Reports in `again` have to be offered again after so many seconds. `PARKED`
    seconds mean that the report was not sent, and that the sink returns it once more when it is its turn.
    """

    done: tuple[str, ...] = ()
    again: tuple[tuple[str, float], ...] = ()


class EventSink(Protocol):
    """The sink of reports. Only the loop's thread calls it, and it never blocks.

    The name of a report is its victim's identity.
    """

    fd: int
    """Readable when `settled` has an outcome to return. It is -1 if each outcome is known at once."""

    @property
    def problem(self) -> str | None:
        """A sentence while reports are not delivered, or None."""

    @property
    def stalled(self) -> bool:
        """True if a report that is offered now would not arrive soon."""

    def offer(self, name: str, report: Report, now: float) -> bool:
        """Accept a report. Return False if there is no room until `wait` has passed or `settled` returns an outcome."""

    def settled(self, now: float) -> Settled:
        """Return the outcomes since the last call."""

    def forget(self, names: Iterable[str]) -> None:
        """Forget reports that were dropped and are not offered again."""

    def wait(self, now: float) -> float | None:
        """Return the seconds until `settled` has to be called without a sign of `fd`, or None."""

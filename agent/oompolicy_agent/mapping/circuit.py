# SPDX-License-Identifier: Apache-2.0
"""The guard against policies that kill too much: after too many kills in a minute, the node audits for ten minutes.

All times are in nanoseconds of the boot clock, which is that of the kernel's records. So a burst that the agent reads
late counts by the times of its kills, and the time of day has no part.
"""

from __future__ import annotations

from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, NamedTuple

from oompolicy.oomsettings import Mode
from oompolicy.timestamps import api_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from oompolicy.oomsettings import ProgramSettings

_SECOND: Final = 1_000_000_000
WINDOW_NS: Final = 60 * _SECOND
OPEN_NS: Final = 600 * _SECOND


class Opening(NamedTuple):
    """The kill that opened the circuit, and the limit that it exceeded."""

    at_ns: int
    limit: int

    @property
    def until_ns(self) -> int:
        """The time at which the circuit closes."""
        return self.at_ns + OPEN_NS


class Circuit:
    """The circuit of one node. `opening` is None while it is closed, and `sentence` is empty."""

    def __init__(self, realtime_offset_ns: Callable[[], int]) -> None:
        """`realtime_offset_ns` returns the time of day minus the boot clock."""
        self.opening: Opening | None = None
        self.sentence = ""
        self._offset_ns = realtime_offset_ns
        self._kills: deque[int] = deque()

    @property
    def kills(self) -> tuple[int, ...]:
        """The times of the kills that count towards the limit."""
        return tuple(self._kills)

    def restore(self, opening: tuple[int, int] | None, kills: Iterable[int]) -> None:
        """Take over the opening and the counted kills from the checkpoint of this boot."""
        self._kills.extend(kills)
        if opening:
            self._open(Opening(*opening))

    def count(self, kill_ns: int, limit: int | None) -> bool:
        """Count a kill by a policy. Return True if the circuit opens with it.

        Without a limit, or with the limit 0, nothing is counted.
        """
        if not limit or self.opening:
            return False
        self._kills.append(kill_ns)
        while self._kills[0] <= kill_ns - WINDOW_NS:
            self._kills.popleft()
        if len(self._kills) <= limit:
            return False
        self._open(Opening(kill_ns, limit))
        return True

    def _open(self, opening: Opening) -> None:
        closes = datetime.fromtimestamp((opening.until_ns + self._offset_ns()) / _SECOND, UTC)
        self.opening = opening
        # Once, because a clock that is set later must not change the status again and again.
        self.sentence = (
            f"the policies chose more than {opening.limit} victims within a minute (maxKillsPerMinute), so the node "
            f"audits until {api_time(closes)}: the kernel chooses each victim"
        )

    def settle(self, limit: int | None, now_ns: int) -> float | None:
        """Close the circuit if it is time. Return the seconds until it closes, or None if it is closed.

        A change of the limit closes it, because the admin has reacted. An unknown limit (None) is no change.
        """
        if self.opening is None:
            return None
        changed = limit is not None and limit != self.opening.limit
        if changed or now_ns >= self.opening.until_ns:
            self.opening, self.sentence = None, ""
            # Kills before the opening must not open it again.
            self._kills.clear()
            return None
        return (self.opening.until_ns - now_ns) / _SECOND

    def limit(self, wanted: ProgramSettings | None) -> ProgramSettings | None:
        """Return the settings for the programs: the wanted ones, with Audit in place of Enforce while it is open."""
        return limited(wanted) if self.opening and wanted else wanted


def limited(wanted: ProgramSettings) -> ProgramSettings:
    """Return the settings of a node with an open circuit."""
    return wanted._replace(mode=Mode.AUDIT) if wanted.mode is Mode.ENFORCE else wanted

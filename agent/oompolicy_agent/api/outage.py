# SPDX-License-Identifier: Apache-2.0
"""Reports that the API server is unreachable, once that has lasted longer than a restart of it. No I/O."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from oompolicy.timestamps import api_time

if TYPE_CHECKING:
    from collections.abc import Sequence


class FailingWatch(NamedTuple):
    """A collection whose watch fails now: the reason, and the seconds since the last reply."""

    sentence: str
    quiet: float


class OutageNotice:
    """The notice of an outage. `update` is called from time to time."""

    def __init__(self, after: float) -> None:
        """Take the number of seconds that an outage lasts before it is reported."""
        self._after = after
        self._noticed: float | None = None
        self._since = ""

    def update(self, failing: Sequence[FailingWatch], now: float, time: float) -> str | None:
        """Return the sentence to report, or None.

        `now` is in seconds of a clock that only runs forward, and `time` in seconds since the epoch.
        """
        if not failing:
            self._noticed = None
            return None
        quiet = max(each.quiet for each in failing)
        if self._noticed is None or quiet < now - self._noticed:  # a reply came in between, so this is a new outage
            self._noticed = now
            self._since = api_time(datetime.fromtimestamp(time - quiet, UTC))
        if now - self._noticed < self._after:
            return None
        reasons = "; ".join(each.sentence for each in failing)
        return f"no reply from the API server since {self._since}, the last state stays in force: {reasons}"

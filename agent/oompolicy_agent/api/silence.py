# SPDX-License-Identifier: Apache-2.0
"""Says since when nothing was heard from the API server, once that is no mere restart of it. No I/O."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class Failing(NamedTuple):
    """A collection that cannot be followed now: why, and how many seconds ago it was last heard of."""

    sentence: str
    quiet: float


class OutageNotice:
    """Asked now and then."""

    def __init__(self, after: float) -> None:
        """`after`: seconds of failing that are no news."""
        self._after = after
        self._noticed: float | None = None
        self._since = ""

    def look(self, failing: Sequence[Failing], now: float, time: float) -> str:
        """A sentence, or empty. `now`: seconds of any clock that only runs forward; `time`: since the epoch."""
        if not failing:
            self._noticed = None
            return ""
        quiet = max(each.quiet for each in failing)
        if self._noticed is None or quiet < now - self._noticed:  # heard in between: it fails anew
            self._noticed = now
            self._since = f"{datetime.fromtimestamp(time - quiet, UTC):%Y-%m-%dT%H:%M:%SZ}"
        if now - self._noticed < self._after:
            return ""
        reasons = "; ".join(each.sentence for each in failing)
        return f"nothing heard since {self._since}, the last state is enforced: {reasons}"

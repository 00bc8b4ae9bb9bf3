# SPDX-License-Identifier: Apache-2.0
"""Decides how long to wait before the next try, with full jitter: 5,000 agents may have failed at the same moment."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_DELAY: Final = 0.5
LONGEST_DELAY: Final = 30.0


def delay(
    failures: int,
    uniform: Callable[[float, float], float],
    longest: float = LONGEST_DELAY,
    first: float = FIRST_DELAY,
) -> float:
    """Return the seconds to wait after one failure or several in a row.

    `uniform` draws the part that is waited of a delay that doubles from `first` to `longest` seconds.
    """
    # The exponent is bounded because an API server may be unreachable for a weekend.
    return uniform(0.0, min(longest, first * 2.0 ** min(failures - 1, 16)))


class Backoff:
    """The number of failures in a row, and the delay that follows from it."""

    def __init__(
        self,
        uniform: Callable[[float, float], float] = random.uniform,
        longest: float = LONGEST_DELAY,
        first: float = FIRST_DELAY,
    ) -> None:
        """Take the arguments of `delay`."""
        self._uniform, self._longest, self._first = uniform, longest, first
        self._failures = 0

    def failed(self, at_least: float = 0.0) -> float:
        """Count a failure, and return the seconds to wait: `at_least`, as a server asked for, and the delay."""
        self._failures += 1
        return at_least + delay(self._failures, self._uniform, self._longest, self._first)

    def succeeded(self) -> None:
        """Forget all failures."""
        self._failures = 0

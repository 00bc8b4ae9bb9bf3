# SPDX-License-Identifier: Apache-2.0
"""How long to wait before the next try: full jitter, so that the agents of 5,000 nodes do not come at once."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from oompolicy.kube.following import FIRST_DELAY, LONGEST_DELAY

if TYPE_CHECKING:
    from collections.abc import Callable


class Backoff:
    """Counts failures in a row."""

    def __init__(
        self, uniform: Callable[[float, float], float] = random.uniform, longest: float = LONGEST_DELAY
    ) -> None:
        """`uniform` draws the part of a delay that is waited; that grows to `longest` seconds."""
        self._uniform, self._longest = uniform, longest
        self._failures = 0

    def failed(self, at_least: float = 0.0) -> float:
        """Seconds to wait after one more, `at_least` and some."""
        longest = min(self._longest, FIRST_DELAY * 2.0 ** min(self._failures, 16))
        self._failures += 1
        return at_least + self._uniform(0.0, longest)

    def succeeded(self) -> None:
        """Begin anew."""
        self._failures = 0

# SPDX-License-Identifier: Apache-2.0
"""Counts failures, and says how long to wait after them."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from oompolicy.kube.backoff import LONGEST_DELAY, delay

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
        self._failures += 1
        return at_least + delay(self._failures, self._uniform, self._longest)

    def succeeded(self) -> None:
        """Begin anew."""
        self._failures = 0

# SPDX-License-Identifier: Apache-2.0
"""Decides how long to wait before the next try, with full jitter: 5,000 agents may have failed at the same moment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_DELAY: Final = 0.5
LONGEST_DELAY: Final = 30.0


def delay(failures: int, uniform: Callable[[float, float], float], longest: float = LONGEST_DELAY) -> float:
    """Return the seconds to wait after one failure or several in a row. `uniform` draws the part that is waited."""
    # The exponent is bounded because an API server may be unreachable for a weekend.
    return uniform(0.0, min(longest, FIRST_DELAY * 2.0 ** min(failures - 1, 16)))

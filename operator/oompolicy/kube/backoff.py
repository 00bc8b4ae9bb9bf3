# SPDX-License-Identifier: Apache-2.0
"""Says how long to wait before the next try: full jitter, so that the agents of 5,000 nodes do not come at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_DELAY: Final = 0.5
LONGEST_DELAY: Final = 30.0


def delay(failures: int, uniform: Callable[[float, float], float], longest: float = LONGEST_DELAY) -> float:
    """Seconds to wait after so many failures in a row, at least one; `uniform` draws the part that is waited."""
    # The exponent is bounded because an API server may be away for a weekend.
    return uniform(0.0, min(longest, FIRST_DELAY * 2.0 ** min(failures - 1, 16)))

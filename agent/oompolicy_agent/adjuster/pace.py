# SPDX-License-Identifier: Apache-2.0
"""Decide when to look again: the less memory is left, the sooner. Pure.

Between two looks a container may grow by the margin and no more. A look at 110 pods costs tens of milliseconds of one
processor, so an idle node gets one every 20 s. In between only the memory that is left is read, once a second.
"""

from __future__ import annotations

from typing import Final

SHORTEST: Final = 0.2
"""Seconds between two looks while almost no memory is left."""
LONGEST: Final = 20.0
"""Seconds between two looks while half of the memory or more is left."""
CHECK: Final = 1.0
"""At most so many seconds pass until the memory that is left is read again."""

GROUPS: Final = 10.0
"""Seconds until all values of memory.oom.group are read again. Besides the adjuster, the kubelet may set them, when it
resizes a container, and a container that may write to its own cgroup."""

_CHECK_PER_SHARE: Final = 2.0
"""Seconds between two checks for each share of the memory that is left."""

_END: Final = 0.05
_AMPLE: Final = 0.5
_MARGIN_PARTS: Final = 4


def pause(left: float) -> float:
    """Return the seconds between two looks for a share of memory that is left: 1.5 s for a quarter."""
    way = (min(_AMPLE, max(_END, left)) - _END) / (_AMPLE - _END)
    return float(SHORTEST * (LONGEST / SHORTEST) ** way)


def check_after(left: float) -> float:
    """Return the seconds until the memory that is left is read again.

    A container that takes 20 % of the memory per second takes at most 40 % of what is left until then.
    """
    return min(CHECK, max(SHORTEST, _CHECK_PER_SHARE * left))


def is_due(elapsed: float, left: float, left_then: float, margin: float) -> bool:
    """Return True if it is time to look, `elapsed` seconds after a look that found `left_then`.

    A quarter of the margin that was used up since then is a reason, because one container may have taken it.
    """
    return elapsed >= pause(left) or (elapsed >= SHORTEST and left_then - left >= margin / _MARGIN_PARTS)

# SPDX-License-Identifier: Apache-2.0
"""Waits for an effect of a server by polling."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

POLL_SECONDS: Final = 0.1
DEADLINE_SECONDS: Final = 600.0


def wait_until(condition: str, holds: Callable[[], bool]) -> float:
    """Return the monotonic time at which the condition held. RuntimeError: it did not hold in time."""
    end = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        if time.monotonic() > end:
            raise RuntimeError(f"{condition}: not within {DEADLINE_SECONDS:.0f} s")
        time.sleep(POLL_SECONDS)
    return time.monotonic()

# SPDX-License-Identifier: Apache-2.0
"""Waits for what servers do in their own time, by looking."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

LOOK_EVERY: Final = 0.1
PATIENCE: Final = 600.0


def wait_until(what: str, look: Callable[[], bool]) -> float:
    """When (monotonic) that was so. RuntimeError: it was not in time."""
    end = time.monotonic() + PATIENCE
    while not look():
        if time.monotonic() > end:
            raise RuntimeError(f"{what}: not within {PATIENCE:.0f} s")
        time.sleep(LOOK_EVERY)
    return time.monotonic()

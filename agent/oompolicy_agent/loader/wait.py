# SPDX-License-Identifier: Apache-2.0
"""Waits, up to a deadline, for a change that the kernel makes in its own time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_INTERVAL = 0.05  # seconds; the kernel sends no notice when the last user of a program or a module is gone


def until(condition: Callable[[], bool], patience: float) -> bool:
    """Return True as soon as `condition` holds, or False after `patience` seconds. It is checked at least once."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(_INTERVAL)
    return True

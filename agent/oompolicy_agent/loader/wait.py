# SPDX-License-Identifier: Apache-2.0
"""Waits for what the kernel does in its own time, with an end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_INTERVAL = 0.05  # seconds; the kernel tells nobody when a program or a module's last user is gone


def until(condition: Callable[[], bool], patience: float) -> bool:
    """Whether `condition` came true within `patience` seconds. It is asked at least once."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(_INTERVAL)
    return True

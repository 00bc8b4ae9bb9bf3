# SPDX-License-Identifier: Apache-2.0
"""Wait for an effect in a cluster by polling."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

LOOK_SECONDS = 0.1


def eventually(read: Callable[[], T], wanted: Callable[[T], bool], *, deadline: float = 30.0) -> T:
    """Read until `wanted` accepts the value, and return it. AssertionError, with the last value: it was too late."""
    end = time.monotonic() + deadline
    while not wanted(seen := read()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline:.0f} s, the last value was {seen!r}")
        time.sleep(LOOK_SECONDS)
    return seen

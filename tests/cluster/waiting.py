# SPDX-License-Identifier: Apache-2.0
"""Wait for what a cluster does in its own time, by looking."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

LOOK_SECONDS = 0.1


def eventually(look: Callable[[], T], wanted: Callable[[T], bool], *, deadline: float = 30.0) -> T:
    """Look until `wanted` is content with what is seen, and return it; AssertionError with the last sight of it."""
    end = time.monotonic() + deadline
    while not wanted(seen := look()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline:.0f} s; the last was {seen!r}")
        time.sleep(LOOK_SECONDS)
    return seen

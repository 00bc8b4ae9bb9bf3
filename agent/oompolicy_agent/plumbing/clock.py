# SPDX-License-Identifier: Apache-2.0
"""The clock by which the kernel and all programs of a node agree on a time within a boot."""

from __future__ import annotations

import time


def boot_clock() -> int:
    """Return the nanoseconds since the boot."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)

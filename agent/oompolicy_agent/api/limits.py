# SPDX-License-Identifier: Apache-2.0
"""Token buckets that limit the Events of a node and of each pod. No I/O and no clock.

They are written by hand because the standard library has none, and the rule takes ten lines.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

MAX_PODS: Final = 1024
"""Pods whose bucket is kept. A node has a tenth of that. The bucket of a pod that was dropped starts full again."""


@dataclass(slots=True)
class Bucket:
    """A bucket of at most `burst` tokens that gains `rate` tokens per second.

    `now` is in seconds of a clock that only runs forward.
    """

    burst: float
    rate: float
    tokens: float
    at: float

    def wait(self, now: float) -> float:
        """Return the seconds until a token is available, 0 if one is."""
        self._fill(now)
        return max(0.0, (1.0 - self.tokens) / self.rate)

    def take(self, now: float) -> None:
        """Take a token if one is available."""
        self._fill(now)
        if self.tokens >= 1.0:
            self.tokens -= 1.0

    def _fill(self, now: float) -> None:
        self.tokens = min(self.burst, self.tokens + self.rate * (now - self.at))
        self.at = now


class PodBuckets:
    """The buckets of pods, by uid. Each starts full."""

    def __init__(self, burst: float, rate: float) -> None:
        self._burst, self._rate = burst, rate
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def of(self, uid: str, now: float) -> Bucket:
        """Return the bucket of a pod."""
        bucket = self._buckets.get(uid)
        if bucket is None:
            bucket = self._buckets[uid] = Bucket(self._burst, self._rate, self._burst, now)
        self._buckets.move_to_end(uid)
        while len(self._buckets) > MAX_PODS:
            self._buckets.popitem(last=False)
        return bucket

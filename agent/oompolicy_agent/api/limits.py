# SPDX-License-Identifier: Apache-2.0
"""Token buckets: how many Events a node, and a pod, may have. No I/O and no clock."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

MAX_PODS: Final = 1024
"""Pods whose bucket is remembered: a node has a tenth of that, and one that is forgotten begins with a full one."""


@dataclass(slots=True)
class Bucket:
    """`burst` tokens at first and at most, `rate` more per second. `now`: seconds of a clock that only runs forward."""

    burst: float
    rate: float
    tokens: float
    at: float

    def wait(self, now: float) -> float:
        """Seconds until there is a token, 0 where there is one."""
        self._fill(now)
        return max(0.0, (1.0 - self.tokens) / self.rate)

    def take(self, now: float) -> None:
        """Take one, if there is one."""
        self._fill(now)
        if self.tokens >= 1.0:
            self.tokens -= 1.0

    def _fill(self, now: float) -> None:
        self.tokens = min(self.burst, self.tokens + self.rate * (now - self.at))
        self.at = now


class PodBuckets:
    """One for each pod, by its uid."""

    def __init__(self, burst: float, rate: float) -> None:
        """All full."""
        self._burst, self._rate = burst, rate
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def of(self, uid: str, now: float) -> Bucket:
        """The pod's."""
        bucket = self._buckets.get(uid)
        if bucket is None:
            bucket = self._buckets[uid] = Bucket(self._burst, self._rate, self._burst, now)
        self._buckets.move_to_end(uid)
        while len(self._buckets) > MAX_PODS:
            self._buckets.popitem(last=False)
        return bucket

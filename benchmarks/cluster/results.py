# SPDX-License-Identifier: Apache-2.0
"""The measurements. Times are in seconds, memory in MiB."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.cluster.objects import Size
    from benchmarks.cluster.process import Memory


@dataclass(frozen=True)
class Sync:
    """The times from the operator's start until it is ready, and until each node has its OOMNode."""

    ready: float
    oomnodes: float
    cpu: float
    memory: Memory
    peak: float


@dataclass(frozen=True)
class Steady:
    """The measurements while pods change at a fixed rate."""

    seconds: float
    changes: int
    latest: float  # behind the schedule
    cpu: float
    own_lag_p99: float
    """The upper end of the bucket in the operator's histogram."""
    lags: Sequence[float]
    """The lags of marked pods as seen from outside."""
    memory: Memory

    @property
    def core(self) -> float:
        """The share of one core."""
        return self.cpu / self.seconds


@dataclass(frozen=True)
class Change:
    """The times of a change to the policy of every pod, with answers of all nodes."""

    observed: float
    """The time until the policy's status has the new generation."""
    written: float
    """The time until the last node had written its answer."""
    applied: float
    """The time until the policy's status says that all nodes have applied it."""
    cpu: float


@dataclass(frozen=True)
class Watches:
    """The cost of the agents for the API server."""

    agents: int
    connect_cpu: float
    """The CPU seconds until all agents had their lists."""
    memory: float
    """The growth of the heap and stacks, after a collection of garbage."""
    change_without: float
    """The CPU seconds per change of a pod under churn, with all other work of the API server."""
    change_with: float
    """The same as `change_without`, with changes of pods that agents watch."""
    first_answer: float
    last_answer: float
    answers_cpu: float
    """The CPU seconds of a policy change and all answers to it."""


@dataclass(frozen=True)
class Run:
    """All measurements at one size of cluster."""

    size: Size
    filled: float
    sync: Sync
    steady: Steady
    change: Change
    watches: Watches


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that `share` of all do not exceed. ValueError: there are no values."""
    if not values:
        raise ValueError("no values, no percentile")
    return sorted(values)[math.ceil(share * len(values)) - 1]

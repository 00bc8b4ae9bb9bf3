# SPDX-License-Identifier: Apache-2.0
"""What was measured. Times in seconds, memory in MiB."""

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
    """From the operator's start until it is ready, and until each node has its OOMNode."""

    ready: float
    oomnodes: float
    cpu: float
    memory: Memory
    peak: float


@dataclass(frozen=True)
class Steady:
    """While pods change at a fixed rate."""

    seconds: float
    changes: int
    latest: float  # behind the schedule
    cpu: float
    own_lag_p99: float
    """What the operator's histogram says: the upper end of the bucket."""
    lags: Sequence[float]
    """As seen from outside, of marked pods."""
    memory: Memory

    @property
    def core(self) -> float:
        """Share of one core."""
        return self.cpu / self.seconds


@dataclass(frozen=True)
class Change:
    """A policy of every pod changes, and every node answers."""

    observed: float
    """Until its status has the new generation."""
    written: float
    """Until the last node had written its answer."""
    applied: float
    """Until its status says that all nodes have applied it."""
    cpu: float


@dataclass(frozen=True)
class Watches:
    """What some agents cost the API server."""

    agents: int
    connect_cpu: float
    """Until all of them had what they ask for."""
    memory: float
    """What its heap and stacks hold more than before, after a collection of garbage."""
    change_without: float
    """What a change of a pod costs it under churn, all included."""
    change_with: float
    """The same where each change is one for an agent."""
    first_answer: float
    last_answer: float
    answers_cpu: float
    """Of a policy's change and all answers to it."""


@dataclass(frozen=True)
class Run:
    """One size of cluster."""

    size: Size
    filled: float
    sync: Sync
    steady: Steady
    change: Change
    watches: Watches


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that `share` of all do not exceed. ValueError without values."""
    if not values:
        raise ValueError("no values, no percentile")
    return sorted(values)[math.ceil(share * len(values)) - 1]

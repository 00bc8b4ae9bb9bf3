# SPDX-License-Identifier: Apache-2.0
"""Processes and their groups, as one look at the node finds them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class ProcessId(NamedTuple):
    """A process. The kernel uses a pid again, but not with the same start time, which is in ticks since the boot."""

    pid: int
    start: int


@dataclass(frozen=True, slots=True)
class Process:
    """A process with its oom_score_adj and its usage in pages, as the kernel counts it for the badness."""

    id: ProcessId
    parent: int
    score: int
    usage: int


@dataclass(frozen=True, slots=True)
class Group:
    """The processes that are directly in one cgroup and get one score. There is at least one, the oldest first."""

    cgroup: int
    priority: int
    processes: tuple[Process, ...]

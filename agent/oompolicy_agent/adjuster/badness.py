# SPDX-License-Identifier: Apache-2.0
"""The kernel's badness of a process, and the numbers that it consists of. Pure.

The OOM killer kills the process with the largest badness (oom_badness() in mm/oom_kill.c):

    points = rss + swap entries + page tables, all in pages
    points += oom_score_adj * (totalpages / 1000)

The division is one of integers. `totalpages` belongs to the part of the node that ran out of memory.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LOWEST: Final = -997
"""The lowest score that the adjuster writes. The kubelet gives -998 to sandboxes and -999 to itself, and the kernel
never kills a process with -1000."""
HIGHEST: Final = 1000
"""The constant OOM_SCORE_ADJ_MAX in include/uapi/linux/oom.h."""
PROTECTED: Final = -998
"""A process with this value or a lower one is never touched."""
SMALLEST: Final = 1000
"""The smallest scope in pages, which is 4 MB on most machines. In a smaller one a score has no effect at all."""


@dataclass(frozen=True, slots=True)
class Container:
    """A container to score. `id` is the cgroup id, and `usage` the pages of its largest process.

    `original` is the oom_score_adj that the container runtime gave to it.
    """

    id: int
    priority: int
    usage: int
    original: int = 0


@dataclass(frozen=True, slots=True)
class Span:
    """The smallest and the largest badness of some processes."""

    lowest: int
    highest: int

    def __or__(self, other: Span) -> Span:
        """Return the span that covers both."""
        return Span(min(self.lowest, other.lowest), max(self.highest, other.highest))


STARTING: Final = Span(0, 0)
"""The badness of a host process that starts: it holds almost nothing, and most have the score 0."""


@dataclass(frozen=True, slots=True)
class Scope:
    """A part of the node that can run out of memory as a whole: the node, or all pods.

    `total` is the kernel's `totalpages`. `host` is the span of the host processes that the kernel can kill in this
    scope. It contains STARTING, because a process can start at any time.
    """

    name: str
    total: int
    host: Span = STARTING

    def __post_init__(self) -> None:
        if self.total < SMALLEST:
            raise ValueError(f"scope {self.name} has {self.total} pages: scores have no effect below {SMALLEST}")

    @property
    def step(self) -> int:
        """The number of pages that one step of a score is worth."""
        return self.total // 1000

    def badness(self, usage: int, score: int) -> int:
        """Return the kernel's badness of a process in this scope."""
        return usage + score * self.step

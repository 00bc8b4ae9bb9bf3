# SPDX-License-Identifier: Apache-2.0
"""Measure how well scores keep the order of priorities: the margin, and the constraints that do not hold. Pure."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from oompolicy_agent.adjuster.badness import Container, Scope, Span

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Level = tuple[Container, ...]
"""All containers of one priority, the largest first."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A constraint that does not hold: a process of priority `higher` may die before one of priority `lower`.

    `lower` is the lowest priority for which this is true.
    """

    scope: str
    lower: int
    higher: int

    def __str__(self) -> str:
        return f"scope {self.scope}: priority {self.higher} may die before priority {self.lower}"


@dataclass(frozen=True, slots=True)
class Order:
    """The quality of an order. Every process may grow by fewer pages than `margin`, and the order still holds.

    The margin is for the constraints that hold. If there is none, it is all memory of the largest scope.
    `margins` has the pages by which a container of a priority may grow alone before it dies before one of a lower
    priority. The lowest priority has none.
    """

    margin: int
    broken: tuple[Broken, ...]
    margins: Mapping[int, int]


def levels_of(containers: Iterable[Container]) -> list[Level]:
    """Return the levels from the lowest priority, which dies first, to the highest."""
    ordered = sorted(containers, key=lambda each: (each.priority, -each.usage))
    return [tuple(level) for _, level in groupby(ordered, attrgetter("priority"))]


def span_of(containers: Iterable[Container], scores: Mapping[int, int], scope: Scope) -> Span:
    """Return the span of the containers' largest processes in a scope. There must be at least one container."""
    found = [scope.badness(each.usage, scores[each.id]) for each in containers]
    return Span(min(found), max(found))


def measure(levels: Sequence[Level], scores: Mapping[int, int], scopes: Sequence[Scope], host_priority: int) -> Order:
    """Return the margin of all levels and the host processes, and each level that does not stay below all before it."""
    margin, broken, margins = max(scope.total for scope in scopes), list[Broken](), dict[int, int]()
    for scope in scopes:
        spans = _spans(levels, scores, scope, host_priority)
        for gap, constraint in _gaps(scope.name, spans):
            margins[constraint.higher] = max(0, min(gap, margins.get(constraint.higher, gap)))
            if gap > 0:
                margin = min(margin, gap)
            else:
                broken.append(constraint)
    return Order(margin, tuple(broken), margins)


def _spans(
    levels: Sequence[Level], scores: Mapping[int, int], scope: Scope, host_priority: int
) -> list[tuple[int, Span]]:
    """Return priority and span of each level. The host processes are part of the level of their priority."""
    spans = {level[0].priority: span_of(level, scores, scope) for level in levels}
    spans[host_priority] = scope.host | spans.get(host_priority, scope.host)
    return sorted(spans.items(), key=lambda each: each[0])


def _gaps(scope: str, spans: Sequence[tuple[int, Span]]) -> Iterable[tuple[int, Broken]]:
    """Yield the distance of each level from all lower priorities, and the constraint that breaks if it is not positive.

    The constraint names the lowest priority that the level reaches, because all later ones are at least as close.
    """
    lowest_so_far: list[int] = []
    for number, (priority, span) in enumerate(spans):
        if number:
            reached = bisect_left(lowest_so_far, True, hi=number - 1, key=lambda edge: edge <= span.highest)
            yield lowest_so_far[-1] - span.highest, Broken(scope, lower=spans[reached][0], higher=priority)
        lowest_so_far.append(min([span.lowest, *lowest_so_far[-1:]]))

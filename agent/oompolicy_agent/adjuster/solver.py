# SPDX-License-Identifier: Apache-2.0
"""Decide one score per container, so that the kernel's badness has the order of priorities. Pure.

The lowest priority stands at the top, because the kernel kills the largest badness first:

    badness   1000 steps  +--------------------+
                          | priority 100       |  all containers of a priority form a level,
                          +--------------------+  in which the largest is at the top
                               margin
                          +--------------------+
                          | priority 500       |
                          +--------------------+
                               margin
                          +--------------------+
                          | host processes     |  never written, and the kernel has their badness
                          +--------------------+
                               margin
                          +--------------------+
                          | above the host     |
    badness   -997 steps  +--------------------+

A container that grows moves up. So the smallest distance between two levels is the memory that any container may take
until the next solution. The solver makes all distances as large as the largest equal ones can be: it places the levels
from the top with a margin, and searches the largest margin with which they fit.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from oompolicy_agent.adjuster.badness import HIGHEST, LOWEST, Container, Scope, Span
from oompolicy_agent.adjuster.order import Level, Order, levels_of, measure, span_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

Edge = tuple[int, ...]
"""A badness in each scope, which a level must stay above or below."""

_ENDLESS: Final = 1 << 62
"""An edge where there is none. It is larger than the badness of any process, also after a margin is subtracted."""

_BAND: Final = 4
"""The largest height of a level is the margin divided by this number.

The containers of a level differ in badness, so that the largest dies first. The order within a level only decides
between equal priorities, so the levels' distance gets more of the room.
"""


@dataclass(frozen=True, slots=True)
class Solution:
    """One score per container id, and the quality of the order that the scores make."""

    scores: Mapping[int, int]
    order: Order


def solve(containers: Iterable[Container], scopes: Sequence[Scope], host_priority: int) -> Solution:
    """Return the scores with the largest margin.

    If not all constraints can hold, those of the lowest priorities hold, and the solution names the others.
    """
    levels = levels_of(containers)
    below = [level for level in levels if level[0].priority < host_priority]
    among = [level for level in levels if level[0].priority == host_priority]
    above = [level for level in levels if level[0].priority > host_priority]
    board = _Board(scopes, among[0] if among else ())
    for floor in board.floors:
        below = board.place(below, floor=floor)
    if not below:
        for roof in board.roofs:
            above = board.place(above, roof=roof)
    # Levels that find no room beside the host processes at least keep their order.
    left = board.place(below + above)
    board.scores.update((each.id, LOWEST) for level in left for each in level)
    return Solution(board.scores, measure(levels, board.scores, scopes, host_priority))


class _Board:
    """The scores so far, and the edges that the next levels must respect."""

    def __init__(self, scopes: Sequence[Scope], among: Level) -> None:
        """Begin with the containers of the host's priority. They are equal to host processes, most of which have 0."""
        self.scores = {each.id: max(LOWEST, min(0, each.original)) for each in among}
        self._scopes = scopes
        self._endless: Edge = (_ENDLESS,) * len(scopes)
        self._bottom = self._endless
        self._among = [span_of(among, self.scores, scope) for scope in scopes] if among else []
        self._all = [scope.host for scope in scopes]
        if among:
            self._all = [one | other for one, other in zip(self._among, self._all, strict=True)]

    @property
    def floors(self) -> list[Edge]:
        """The edges above everything of the host's priority, and above its containers alone, which matter more."""
        return [_tops(spans) for spans in (self._all, self._among) if spans]

    @property
    def roofs(self) -> list[Edge]:
        """The edges below everything of the host's priority, and below its containers alone."""
        return [_bottoms(spans) for spans in (self._all, self._among) if spans]

    def place(self, levels: list[Level], *, roof: Edge | None = None, floor: Edge | None = None) -> list[Level]:
        """Place levels below all placed ones, between `roof` and `floor`. Return the levels that do not fit.

        The levels that fit, from the lowest priority on, get the largest margin.
        """
        under = tuple(map(min, self._bottom, roof or self._endless))
        ground = floor or tuple(-edge for edge in self._endless)

        def placed(count: int, margin: int) -> _Placement | None:
            return _place(levels[:count], margin, self._scopes, under, ground)

        count = bisect_left(range(1, len(levels) + 1), True, key=lambda count: placed(count, 1) is None)
        limit = 2 * max(scope.total for scope in self._scopes)
        if count and (found := _with_largest_margin(lambda margin: placed(count, margin), limit)):
            self.scores.update(found.scores)
            self._bottom = found.bottom
        return levels[count:]


@dataclass(frozen=True, slots=True)
class _Placement:
    """The scores of some levels, and the smallest badness of the last level in each scope."""

    scores: Mapping[int, int]
    bottom: Edge


def _with_largest_margin(placed: Callable[[int], _Placement | None], limit: int) -> _Placement | None:
    """Return the placement with the largest margin up to `limit`, or None if levels do not fit with one page."""
    best, low, high = placed(1), 1, limit
    while best and low < high:
        margin = (low + high + 1) // 2
        if better := placed(margin):
            best, low = better, margin
        else:
            high = margin - 1
    return best


def _place(levels: Sequence[Level], margin: int, scopes: Sequence[Scope], roof: Edge, floor: Edge) -> _Placement | None:
    """Place each level as high as possible, with `margin` pages to everything above. None if they reach the floor."""
    scores: dict[int, int] = {}
    for level in levels:
        largest = level[0].usage
        room = min((edge - margin - largest) // scope.step for edge, scope in zip(roof, scopes, strict=True))
        if room < LOWEST:
            return None
        scores.update(_level_scores(level, min(HIGHEST, room), margin // _BAND, scopes))
        roof = tuple(span_of(level, scores, scope).lowest for scope in scopes)
    if any(bottom - margin < ground for bottom, ground in zip(roof, floor, strict=True)):
        return None
    return _Placement(scores, roof)


def _level_scores(level: Level, first: int, band: int, scopes: Sequence[Scope]) -> dict[int, int]:
    """Return the scores of a level whose largest container has the score `first`.

    With equal scores the differences in usage are the differences in badness. A smaller container gets a larger score,
    which pulls it up until the level is no higher than `band` pages. It never reaches a larger container, in any scope.
    """
    step = max(scope.step for scope in scopes)
    largest, smallest = level[0].usage, level[-1].usage
    scores: dict[int, int] = {}
    score, previous = first, largest
    for each in level:
        below = largest - each.usage
        kept = below * band // (largest - smallest) if largest - smallest > band else below
        reach = score + max(0, previous - each.usage - 1) // step
        score, previous = min(HIGHEST, reach, first + (below - kept) // step), each.usage
        scores[each.id] = score
    return scores


def _tops(spans: Iterable[Span]) -> Edge:
    return tuple(span.highest for span in spans)


def _bottoms(spans: Iterable[Span]) -> Edge:
    return tuple(span.lowest for span in spans)

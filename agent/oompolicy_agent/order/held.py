# SPDX-License-Identifier: Apache-2.0
"""The priorities that the node holds for cgroups: the entries of the map, or those of the adjuster's last scores."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from oompolicy.order.facts import Holding
from oompolicy_agent.mapping.cgroupwalk import CgroupWalk
from oompolicy_agent.mapping.pinnedmap import sentence
from oompolicy_agent.status.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from oompolicy_agent.status.scores import Scores

Value = tuple[int | None, int | None]
"""A priority and a score, each None if the node holds none."""

_NOTHING: Final = (None, None)
_MODES: Final = (Reason.AUDIT, Reason.OFF)


class Held(NamedTuple):
    """The values by cgroup id. `where` is None if they are not known.

    `problem` says why, or what is wrong with them.
    """

    where: Holding | None = None
    values: Mapping[int, Value] = {}
    problem: str = ""

    def of(self, path: str, ids: Sequence[int]) -> Value:
        """Return the value of a cgroup. `ids` are its own id and those of the cgroups above it, the nearest first.

        An entry applies to all cgroups below. A score is that of the processes of a cgroup, and a container may have
        moved its processes into cgroups of its own. The largest score is then of the process that dies first.
        """
        if self.where is Holding.ENTRIES:
            return next((self.values[each] for each in ids if each in self.values), _NOTHING)
        if self.where is Holding.SCORES:
            own = ids[:1] if ids[0] in self.values else _below(path)
            return max((self.values[each] for each in own if each in self.values), key=_score, default=_NOTHING)
        return _NOTHING


def in_map(read: Callable[[], Mapping[int, int]]) -> Held:
    """Return the entries of the map, which `read` returns or raises OSError."""
    try:
        return Held(Holding.ENTRIES, {cgroup: (priority, None) for cgroup, priority in read().items()})
    except OSError as error:
        return Held(problem=sentence(error))


def in_scores(state: Scores | None) -> Held:
    """Return the scores of the last look, if they are in force at least in part."""
    if state is None:
        return Held(problem="the adjuster has not reported yet")
    if state.reason in _MODES:
        return Held(problem=f"the adjuster writes no score in the mode {state.reason}")
    if state.in_force:
        return Held(Holding.SCORES, state.order.scores)
    if state.reason is Reason.SCORES_NOT_WRITTEN:
        return Held(Holding.SCORES, state.order.scores, state.message)
    return Held(problem=state.message)


def _score(value: Value) -> int:
    return value[1] or 0


def _below(path: str) -> Iterator[int]:
    """Yield the ids of a cgroup in a pod, and of those below it that a look reads too."""
    return (cgroup.id for cgroup, _ in CgroupWalk({}).of_pod(path))

# SPDX-License-Identifier: Apache-2.0
"""Find the process that the kernel would kill with other values of `oom_score_adj` than those in force. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from oompolicy_agent.adjuster.scores import process_scores

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Set

    from oompolicy_agent.adjuster.badness import Scope
    from oompolicy_agent.adjuster.group import Group, Process, ProcessId
    from oompolicy_agent.adjuster.look import Look
    from oompolicy_agent.adjuster.originals import Original

_NEVER: Final = -1000
"""The constant OOM_SCORE_ADJ_MIN in include/uapi/linux/oom.h. The kernel never kills a process with it."""


class Choice(NamedTuple):
    """The process that a rule would kill. `cgroup` is 0, and `priority` the host's, for a process outside of pods."""

    process: Process
    cgroup: int
    priority: int


def by_originals(found: Look, originals: Mapping[int, Original], host_priority: int) -> dict[str, Choice]:
    """Return the choice of each scope if every process had its original value. `originals` are by cgroup id."""
    return _choices(found, {}, originals, host_priority)


def by_scores(
    found: Look, originals: Mapping[int, Original], scores: Mapping[int, int], host_priority: int
) -> dict[str, Choice]:
    """Return the choice of each scope if every process of a wanted group had its score. `scores` are by cgroup id."""
    return _choices(found, scores, originals, host_priority)


def _choices(
    found: Look, scores: Mapping[int, int], originals: Mapping[int, Original], host_priority: int
) -> dict[str, Choice]:
    values = {
        group.cgroup: _values(group, originals[group.cgroup], scores.get(group.cgroup), host_priority)
        for group in (*found.wanted, *found.others)
    }
    chosen = {}
    for scope in found.scopes:
        host = _of_host(found, host_priority) if scope.name == "Node" else ()
        every = [*_of_groups(found, found.inside.get(scope.name, frozenset()), values), *host]
        if candidates := [_rank(scope, *each) for each in every if each[1] != _NEVER]:
            chosen[scope.name] = max(candidates, key=lambda each: each[:3])[3]
    return {scope: choice for scope, choice in chosen.items() if scope in found.inside}


def _rank(scope: Scope, choice: Choice, value: int) -> tuple[int, int, int, Choice]:
    """Return what decides. Of equal candidates the kernel takes the last of its list, to which it adds new ones."""
    process = choice.process
    return scope.badness(process.usage, value), process.id.start, process.id.pid, choice


def _values(group: Group, original: Original, score: int | None, host_priority: int) -> Mapping[ProcessId, int]:
    if score is None:
        return {each.id: original.of(each.id) for each in group.processes}
    return process_scores(group, original, score, host_priority)


def _of_groups(
    found: Look, inside: Set[int], values: Mapping[int, Mapping[ProcessId, int]]
) -> Iterator[tuple[Choice, int]]:
    for group in (*found.wanted, *found.others):
        for process in group.processes if group.cgroup in inside else ():
            yield Choice(process, group.cgroup, group.priority), values[group.cgroup][process.id]


def _of_host(found: Look, host_priority: int) -> Iterator[tuple[Choice, int]]:
    """Yield the processes that are in no group. The kernel never kills the first process of the machine."""
    grouped = {process.id for group in found.others for process in group.processes}
    for process in found.host:
        if process.id not in grouped and process.id.pid != 1:
            yield Choice(process, 0, host_priority), process.score

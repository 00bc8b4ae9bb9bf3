# SPDX-License-Identifier: Apache-2.0
"""From groups of processes to the solver's containers, and from its scores to those of processes. Pure.

A process whose own value differs from its container's keeps the difference, as far as the band of its level allows.
All differences of a group point downwards from its worst process, so that the solver's score is that of the worst one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from oompolicy_agent.adjuster.badness import LOWEST, Container

if TYPE_CHECKING:
    from oompolicy_agent.adjuster.group import Group, ProcessId
    from oompolicy_agent.adjuster.originals import Original

DIFFERENCE: Final = 20
"""The largest difference, up or down, that a process keeps: 2 % of all memory. Ten levels are 10 % apart."""


def container_of(group: Group, original: Original, step: int, host_priority: int) -> Container:
    """Return the container that stands for the group. `step` is the smallest step of all scopes, in pages."""
    below = _differences(group, original, host_priority)
    usage = max(each.usage + below[each.id] * step for each in group.processes)
    worst = max(original.of(each.id) for each in group.processes)
    return Container(group.cgroup, group.priority, max(0, usage), worst)


def process_scores(group: Group, original: Original, score: int, host_priority: int) -> dict[ProcessId, int]:
    """Return the score of each process of a group that has `score`.

    In a group of the host's priority each process is like a host process: it keeps its own value, but at most 0.
    """
    if group.priority == host_priority:
        return {each.id: max(LOWEST, min(0, original.of(each.id))) for each in group.processes}
    below = _differences(group, original, host_priority)
    return {process: max(LOWEST, score + difference) for process, difference in below.items()}


def _differences(group: Group, original: Original, host_priority: int) -> dict[ProcessId, int]:
    """Return for each process how much its score is below the group's. From the host's priority on there is no room."""
    if group.priority >= host_priority:
        return {each.id: 0 for each in group.processes}
    own = {each.id: original.of(each.id) - original.value for each in group.processes}
    kept = {process: max(-DIFFERENCE, min(DIFFERENCE, difference)) for process, difference in own.items()}
    worst = max(kept.values())
    return {process: difference - worst for process, difference in kept.items()}

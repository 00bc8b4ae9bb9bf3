# SPDX-License-Identifier: Apache-2.0
"""Which entries `cgroup_priority` should have, and what to change to get there. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from oompolicy.model import QOSClass

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from oompolicy.model import Assignment, Defaults, Pod
    from oompolicy_agent.cgroups import PodCgroup, Tree

FINISHED: Final = frozenset({"Succeeded", "Failed"})
"""Phases of pods that have no cgroup any more."""


class Value(NamedTuple):
    """An entry's value. Compares equal to the tuple `bpf.PriorityMap.entries` has."""

    priority: int
    memory_request: int  # bytes


@dataclass(frozen=True, slots=True)
class Desired:
    """`entries` by cgroup id, the most important first; `not_mapped` are the live pods without a cgroup."""

    entries: Mapping[int, Value] = field(default_factory=dict)
    not_mapped: tuple[Pod, ...] = ()


@dataclass(frozen=True, slots=True)
class Diff:
    """What to write and what to delete."""

    updates: Mapping[int, Value]
    deletes: tuple[int, ...]


def desired(assignments: Iterable[Assignment], pods: Iterable[Pod], tree: Tree, defaults: Defaults) -> Desired:
    """Entries for the QoS slices, then for pods, then for containers: a full map loses the last ones first.

    A container whose id no pod object names (a sandbox, or one just started) gets no entry: it has its pod's by
    the kernel's walk to the root.
    """
    assigned = {a.cgroup_uid: a for a in assignments}
    live = [
        (pod, assigned[pod.cgroup_uid], tree.pods.get(pod.cgroup_uid)) for pod in pods if pod.cgroup_uid in assigned
    ]
    entries = slice_entries(tree, defaults)
    for pod, assignment, cgroup in live:
        if cgroup is not None:
            entries[cgroup.id] = Value(assignment.priority, pod.memory_request)
    for pod, assignment, cgroup in live:
        if cgroup is not None:
            entries.update(_containers(pod, assignment, cgroup))
    lost = tuple(pod for pod, _, cgroup in live if cgroup is None and pod.phase not in FINISHED)
    return Desired(entries, lost)


def slice_entries(tree: Tree, defaults: Defaults) -> dict[int, Value]:
    """The class defaults. Guaranteed pods sit right below kubepods, so theirs stands there."""
    return {s.id: Value(defaults.of(s.qos or QOSClass.GUARANTEED), 0) for s in tree.slices}


def diff(current: Mapping[int, tuple[int, int]], wanted: Mapping[int, Value]) -> Diff:
    """From `current` to `wanted`, in `wanted`'s order. The map is ours alone: what is not wanted goes."""
    updates = {cgroup_id: value for cgroup_id, value in wanted.items() if current.get(cgroup_id) != value}
    return Diff(updates, tuple(cgroup_id for cgroup_id in current if cgroup_id not in wanted))


def _containers(pod: Pod, assignment: Assignment, cgroup: PodCgroup) -> Iterator[tuple[int, Value]]:
    priorities = {container.name: container.priority for container in assignment.containers}
    for container in pod.containers:
        for container_id in container.container_ids:
            directory = cgroup.containers.get(container_id)
            if directory is not None:
                priority = priorities.get(container.name, assignment.priority)
                yield directory.id, Value(priority, container.memory_request)

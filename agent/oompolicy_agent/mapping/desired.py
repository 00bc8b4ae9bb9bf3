# SPDX-License-Identifier: Apache-2.0
"""Which entries `cgroup_priority` should have, and what to change to get there. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from oompolicy.model import QOSClass
from oompolicy_agent.mapping.claims import by_cgroup

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from oompolicy.model import Assignment, Defaults, Pod
    from oompolicy_agent.mapping.cgroups import PodCgroup, Tree
    from oompolicy_agent.mapping.owners import Owner


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
    assigned = {a.pod_uid: a for a in assignments}
    having = by_cgroup(pods, tree)
    live = [(pod, assigned[pod.uid], tree.pods.get(uid)) for uid, pod in having.items() if pod.uid in assigned]
    entries = slice_entries(tree, defaults)
    for pod, assignment, cgroup in live:
        if cgroup is not None:
            entries[cgroup.id] = Value(assignment.priority, pod.memory_request)
    for pod, assignment, cgroup in live:
        if cgroup is not None:
            entries.update(_containers(pod, assignment, cgroup))
    lost = tuple(pod for pod, _, cgroup in live if cgroup is None and not pod.finished)
    return Desired(entries, lost)


def slice_entries(tree: Tree, defaults: Defaults) -> dict[int, Value]:
    """The class defaults. Guaranteed pods sit right below kubepods, so theirs stands there."""
    return {s.id: Value(defaults.of(s.qos or QOSClass.GUARANTEED), 0) for s in tree.slices}


def unclaimed(tree: Tree, pods: Iterable[Pod]) -> frozenset[int]:
    """The ids of the cgroups of pods, and of their containers, that belong to none of `pods`.

    The object of a pod may go long before its processes do: the kubelet waits out the grace period of a pod that was
    deleted, and then deleted by force, up to its end.
    """
    claimed = {pod.cgroup_uid for pod in pods}
    found = [cgroup for uid, cgroup in tree.pods.items() if uid not in claimed]
    containers = [container.id for cgroup in found for container in cgroup.containers.values()]
    return frozenset([*(cgroup.id for cgroup in found), *containers])


def kept(cgroup_ids: Iterable[int], owner_of: Callable[[int], Owner | None]) -> dict[int, Value]:
    """The entries that these cgroups last had, those of pods first. A sandbox had none."""
    pods, containers = dict[int, Value](), dict[int, Value]()
    for cgroup_id in cgroup_ids:
        owner = owner_of(cgroup_id)
        if owner and owner.pod and owner.priority is not None and (owner.kind == "pod" or owner.container):
            entries = pods if owner.kind == "pod" else containers
            entries[cgroup_id] = Value(owner.priority, owner.memory_request)
    return {**pods, **containers}


def diff(
    current: Mapping[int, tuple[int, int]], wanted: Mapping[int, Value], keep: Collection[int] = frozenset()
) -> Diff:
    """From `current` to `wanted`, in `wanted`'s order.

    The map is ours alone: what is not wanted is deleted, but for the entries of the cgroups `keep`.
    """
    updates = {cgroup_id: value for cgroup_id, value in wanted.items() if current.get(cgroup_id) != value}
    return Diff(updates, tuple(cgroup_id for cgroup_id in current if cgroup_id not in wanted and cgroup_id not in keep))


def _containers(pod: Pod, assignment: Assignment, cgroup: PodCgroup) -> Iterator[tuple[int, Value]]:
    priorities = {container.name: container.priority for container in assignment.containers}
    for container in pod.containers:
        for container_id in container.container_ids:
            directory = cgroup.containers.get(container_id)
            if directory is not None:
                priority = priorities.get(container.name, assignment.priority)
                yield directory.id, Value(priority, container.memory_request)

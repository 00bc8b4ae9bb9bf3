# SPDX-License-Identifier: Apache-2.0
"""Compute the entries that `cgroup_priority` should have, and the changes to get there. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from oompolicy.model import QOSClass
from oompolicy_agent.mapping.cgroups import is_of_static_pod
from oompolicy_agent.mapping.claims import by_cgroup

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from oompolicy.model import Assignment, Defaults, Pod
    from oompolicy_agent.mapping.cgroups import PodCgroup, Tree
    from oompolicy_agent.mapping.owners import Owner


class Value(NamedTuple):
    """The value of an entry. It compares equal to the tuples of `maps.PriorityMap.entries`."""

    priority: int
    memory_request: int  # bytes


@dataclass(frozen=True, slots=True)
class Desired:
    """The wanted entries by cgroup id, the most important first. `not_mapped` has the live pods without a cgroup."""

    entries: Mapping[int, Value] = field(default_factory=dict)
    not_mapped: tuple[Pod, ...] = ()


@dataclass(frozen=True, slots=True)
class Diff:
    """The entries to write and the entries to delete."""

    updates: Mapping[int, Value]
    deletes: tuple[int, ...]


def desired(assignments: Iterable[Assignment], pods: Iterable[Pod], tree: Tree, defaults: Defaults) -> Desired:
    """Return the entries for QoS slices, then pods, then containers. A full map loses the last ones first.

    A container with an id that no pod object names (a sandbox, or a new container) gets no entry. The program finds the
    pod's entry on the way to the root.
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
    """Return the defaults of the QoS classes. That of Guaranteed pods is at kubepods, directly above them."""
    return {s.id: Value(defaults.of(s.qos or QOSClass.GUARANTEED), 0) for s in tree.slices}


def unclaimed(tree: Tree, pods: Iterable[Pod]) -> frozenset[int]:
    """Return the ids of the cgroups of pods, and of their containers, that belong to none of `pods`.

    The object of a pod can disappear long before its processes: the kubelet waits for the whole grace period of a pod
    that was deleted and then deleted by force.
    """
    claimed = {pod.cgroup_uid for pod in pods}
    found = [cgroup for uid, cgroup in tree.pods.items() if uid not in claimed]
    containers = [container.id for cgroup in found for container in cgroup.containers.values()]
    return frozenset([*(cgroup.id for cgroup in found), *containers])


def kept(cgroup_ids: Iterable[int], owner_of: Callable[[int], Owner | None]) -> dict[int, Value]:
    """Return the last entries of these cgroups, pods first. A sandbox had none."""
    pods, containers = dict[int, Value](), dict[int, Value]()
    for cgroup_id in cgroup_ids:
        owner = owner_of(cgroup_id)
        if owner and owner.pod and owner.priority is not None and (owner.kind == "pod" or owner.container):
            entries = pods if owner.kind == "pod" else containers
            entries[cgroup_id] = Value(owner.priority, owner.memory_request)
    return {**pods, **containers}


def static_defaults(tree: Tree, pods: Iterable[Pod], defaults: Defaults) -> dict[int, Value]:
    """Return an entry for the cgroup of each static pod that belongs to none of `pods`.

    Before kube-apiserver runs, it has no mirror pod of etcd and kube-apiserver. The default of the QoS class would make
    them earlier victims than pods of a higher class.
    """
    claimed = {pod.cgroup_uid for pod in pods}
    found = [cgroup.id for uid, cgroup in tree.pods.items() if uid not in claimed and is_of_static_pod(uid)]
    return dict.fromkeys(found, Value(defaults.node_critical, 0))


def diff(
    current: Mapping[int, tuple[int, int]], wanted: Mapping[int, Value], keep: Collection[int] = frozenset()
) -> Diff:
    """Return the changes from `current` to `wanted`, in the order of `wanted`.

    Only the agent writes the map, so other entries are deleted, except those of the cgroups `keep`.
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

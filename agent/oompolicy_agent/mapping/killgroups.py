# SPDX-License-Identifier: Apache-2.0
"""Compute memory.oom.group of pods and containers from the kill scopes of their policies. Pure.

The kernel uses the topmost cgroup with memory.oom.group between the victim and the cgroup that reached its limit. So
each scope sets pod and containers, and does not depend on the setting of the kubelet for containers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oompolicy.model import KillScope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from oompolicy.model import Assignment, Pod
    from oompolicy_agent.mapping.cgroups import PodCgroup, Tree
    from oompolicy_agent.mapping.owners import Owner


def kill_groups(assignments: Iterable[Assignment], tree: Tree) -> dict[int, bool]:
    """Return the value of each cgroup of a pod with a kill scope, and of its containers, by cgroup id.

    `assignments` has one assignment for each cgroup at most (`Settled.assignments`). All containers in the cgroup of
    the pod count, also a sandbox and a container that has just started and that no pod object names.
    """
    found: dict[int, bool] = {}
    for assignment in assignments:
        cgroup, scope = tree.pods.get(assignment.cgroup_uid), assignment.kill_scope
        if cgroup is not None and scope is not None:
            found |= _groups(cgroup, scope)
    return found


def kept_kill_groups(tree: Tree, pods: Iterable[Pod], owner_of: Callable[[int], Owner | None]) -> dict[int, bool]:
    """Return the last values of the cgroups that belong to none of `pods`, as `desired.kept` does for the entries."""
    claimed = {pod.cgroup_uid for pod in pods}
    found: dict[int, bool] = {}
    for uid, cgroup in tree.pods.items():
        owner = owner_of(cgroup.id)
        if uid not in claimed and owner and owner.pod and owner.kill_scope:
            found |= _groups(cgroup, KillScope(owner.kill_scope))
    return found


def _groups(cgroup: PodCgroup, scope: KillScope) -> dict[int, bool]:
    containers = dict.fromkeys((each.id for each in cgroup.containers.values()), scope is not KillScope.PROCESS)
    return {cgroup.id: scope is KillScope.POD, **containers}

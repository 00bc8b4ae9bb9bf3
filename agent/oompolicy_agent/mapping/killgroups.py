# SPDX-License-Identifier: Apache-2.0
"""Compute memory.oom.group of pods and containers from the kill scopes of their policies. Pure.

The kernel uses the topmost cgroup with memory.oom.group between the victim and the cgroup that reached its limit. So
each scope sets pod and containers, and does not depend on the setting of the kubelet for containers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from oompolicy.model import KillScope

if TYPE_CHECKING:
    from collections.abc import Iterable

    from oompolicy.model import Assignment
    from oompolicy_agent.mapping.cgroups import Tree


def kill_groups(assignments: Iterable[Assignment], tree: Tree) -> dict[int, bool]:
    """Return the value of each cgroup of a pod with a kill scope, and of its containers, by cgroup id.

    `assignments` has one assignment for each cgroup at most (`Settled.assignments`). All containers in the cgroup of
    the pod count, also a sandbox and a container that has just started and that no pod object names.
    """
    found: dict[int, bool] = {}
    for assignment in assignments:
        cgroup, scope = tree.pods.get(assignment.cgroup_uid), assignment.kill_scope
        if cgroup is not None and scope is not None:
            found[cgroup.id] = scope is KillScope.POD
            found |= dict.fromkeys((each.id for each in cgroup.containers.values()), scope is not KillScope.PROCESS)
    return found

# SPDX-License-Identifier: Apache-2.0
"""Find pods whose kill scope is not in force, because no adjuster runs on the node or because it cannot write.

The values on the node show that for certain. A report of the adjuster would show only its own opinion.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from oompolicy_agent.mapping.killgroups import kill_groups

if TYPE_CHECKING:
    from collections.abc import Iterable

    from oompolicy.model import Assignment
    from oompolicy_agent.mapping.cgroups import Tree


class Unapplied:
    """The finder of such pods. It waits for a while, because the adjuster needs a moment for a new pod."""

    def __init__(self, grace: float) -> None:
        """`grace` is in seconds."""
        self._grace = grace
        self._since: dict[str, float] = {}

    def find(self, assignments: Iterable[Assignment], tree: Tree, now: float) -> tuple[Assignment, ...]:
        """Read the values of all pods with a kill scope at `now`, in seconds of a monotonic clock.

        Return the assignments of those that have had other values for the whole grace.
        """
        differing = [each for each in assignments if each.kill_scope and _differs(each, tree)]
        self._since = {each.pod_uid: self._since.get(each.pod_uid, now) for each in differing}
        return tuple(each for each in differing if now - self._since[each.pod_uid] >= self._grace)


def sentence(assignments: tuple[Assignment, ...]) -> str | None:
    """Return a sentence for the owner of the node, or None if all kill scopes are in force."""
    if not assignments:
        return None
    first = min(assignments, key=lambda each: (each.namespace, each.pod_name))
    more = f" and {len(assignments) - 1} more pods" if len(assignments) > 1 else ""
    return (
        f"killScope {first.kill_scope} of OOMPolicy {first.policy} is not in force for pod "
        f"{first.namespace}/{first.pod_name}{more}: no adjuster has set memory.oom.group; set killScope.enabled in the "
        "chart, or see the log of the pod oompolicy-adjuster of this node"
    )


def _differs(assignment: Assignment, tree: Tree) -> bool:
    """Return True if a cgroup of the pod has another value. A cgroup that has vanished does not count."""
    pod = tree.pods.get(assignment.cgroup_uid)
    if pod is None:
        return False
    paths = {pod.id: pod.path} | {each.id: each.path for each in pod.containers.values()}
    return any(_value(paths[cgroup]) == (not value) for cgroup, value in kill_groups([assignment], tree).items())


def _value(path: str) -> bool | None:
    try:
        return Path(path, "memory.oom.group").read_bytes().strip() == b"1"
    except OSError:
        return None

# SPDX-License-Identifier: Apache-2.0
"""Find pods whose containers run outside of their cgroup, so that no entry of the map applies to them. Pure.

The kubelet creates the cgroup of a pod, and the runtime those of its containers. If they use different cgroup drivers,
the pod's cgroup stays empty and the containers are elsewhere (kubernetes/kubernetes#106514).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

    from oompolicy.model import Pod
    from oompolicy_agent.mapping.cgroups import Tree


class Found(NamedTuple):
    """The result: `pods` that are certain, and `wait`, the seconds until another one may be certain, or None."""

    pods: tuple[Pod, ...]
    wait: float | None


class Strays:
    """The finder of strays. It waits for a while, because a pod's last container ends before the kubelet reports it."""

    def __init__(self, grace: float) -> None:
        """`grace` is in seconds."""
        self._grace = grace
        self._since: dict[str, float] = {}

    def find(self, pods: Iterable[Pod], tree: Tree, now: float) -> Found:
        """Find the strays among `pods` at `now`, in seconds of a monotonic clock."""
        empty = [pod for pod in pods if _runs_elsewhere(pod, tree)]
        self._since = {pod.uid: self._since.get(pod.uid, now) for pod in empty}
        waits = {pod.uid: self._since[pod.uid] + self._grace - now for pod in empty}
        sure = tuple(pod for pod in empty if waits[pod.uid] <= 0)
        return Found(sure, min((wait for wait in waits.values() if wait > 0), default=None))


def sentence(pods: tuple[Pod, ...]) -> str | None:
    """Return a sentence for the owner of the node, or None if there are no strays."""
    if not pods:
        return None
    first = min(pods, key=lambda pod: (pod.namespace, pod.name))
    return (
        f"kubelet and container runtime use different cgroup drivers: {len(pods)} pods, such as "
        f"{first.namespace}/{first.name}, run outside of their cgroup and have the priority of host processes; "
        "give both the same driver"
    )


def _runs_elsewhere(pod: Pod, tree: Tree) -> bool:
    """Return True if a container of this pod runs and its cgroup has none at all, not even the sandbox.

    A pod whose cgroup has other containers may have been restarted while the API server was unreachable.
    """
    cgroup = tree.pods.get(pod.cgroup_uid)
    return cgroup is not None and not cgroup.containers and any(container.running for container in pod.containers)

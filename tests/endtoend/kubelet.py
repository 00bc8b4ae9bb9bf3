# SPDX-License-Identifier: Apache-2.0
"""What the guest's kubelet and containerd do: pods' cgroups, the processes in them; and what the map says of both."""

from __future__ import annotations

import select
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from oompolicy_agent.kernel.maps import PriorityMap
from tests.node.hog import Hog
from tests.node.kubelet import Kubelet, Pod
from tests.node.policy import BPFFS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.node.cgroup import Cgroup
    from tests.node.machine import Node

LOOK_EVERY: Final = 0.001
"""Seconds between two looks at the map: what a measured time may be too long by."""

UNLIMITED_MIB: Final = 1 << 20
"""Of kubepods; more than any guest has."""


class NodeKubelet:
    """Pods by uid. A container's process is a hog of the container's name."""

    def __init__(self, machine: Node) -> None:
        self._machine = machine
        self._kubelet = Kubelet(machine, root_limit=UNLIMITED_MIB)
        self._pods: dict[str, Pod] = {}
        self.hogs: dict[tuple[str, str], Hog] = {}

    @property
    def kubepods(self) -> Cgroup:
        return self._kubelet.kubepods

    def start_pods(self, pods: Iterable[Mapping[str, Any]]) -> None:
        """Make the cgroups of pods that have no process yet: sandbox and containers. Each is the fields of a `Pod`."""
        for fields in pods:
            pod = Pod(**{**fields, "containers": tuple(fields["containers"])})
            self._pods[pod.uid] = pod
            for name in ("POD", *pod.containers):
                self.container(pod.uid, name)

    def end_pods(self, uids: Iterable[str]) -> None:
        """Kill what runs in them, and take their cgroups away."""
        for uid in uids:
            for key in [key for key in self.hogs if key[0] == uid]:
                self.hogs.pop(key).end()
            self._kubelet.pod(self._pods.pop(uid)).remove()

    def container(self, uid: str, name: str) -> Cgroup:
        return self._kubelet.container(self._pods[uid], name)

    def run(self, uid: str, container: str, mib: int) -> int:
        """Start the container's process unless it lives; the pid."""
        hog = self.hogs.get((uid, container))
        if hog is None or not hog.alive:
            hog = Hog(self.container(uid, container), mib, options=("--name", container))
            self.hogs[uid, container] = hog
        return hog.pid

    def limit(self, uid: str, container: str, mib: int) -> None:
        """Give the container a memory limit."""
        self.container(uid, container).write("memory.max", mib << 20)

    def priority(self, uid: str, container: str) -> int | None:
        """What the map says of a container's own cgroup."""
        with closing(PriorityMap(BPFFS / "maps/cgroup_priority")) as entries:
            found = entries.get(self.container(uid, container).id)
        return found[0] if found else None

    def await_priority(self, uid: str, container: str, wanted: int, patience: float) -> bool:
        """Return as soon as the map says so; False where it does not in so many seconds."""
        cgroup_id, end = self.container(uid, container).id, time.monotonic() + patience
        with closing(PriorityMap(BPFFS / "maps/cgroup_priority")) as entries:
            while (found := entries.get(cgroup_id)) is None or found[0] != wanted:
                if time.monotonic() > end:
                    return False
                select.select([], [], [], LOOK_EVERY)
        return True

    def forget_priorities(self) -> int:
        """Empty the map; how many entries there were."""
        with closing(PriorityMap(BPFFS / "maps/cgroup_priority")) as entries:
            ids = list(entries.entries())
            for cgroup_id in ids:
                entries.delete(cgroup_id)
        return len(ids)

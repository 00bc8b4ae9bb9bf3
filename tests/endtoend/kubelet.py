# SPDX-License-Identifier: Apache-2.0
"""The actions of the guest's kubelet and containerd: pods' cgroups and processes, and the map's entries for them."""

from __future__ import annotations

import select
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any, Final

from oompolicy_agent.kernel.layout import KernelMode
from oompolicy_agent.kernel.maps import PriorityMap, SettingsMap
from tests.node.hog import Hog
from tests.node.kubelet import Kubelet, Pod
from tests.node.policy import BPFFS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from tests.node.cgroup import Cgroup
    from tests.node.machine import Node

CHECK_EVERY: Final = 0.001
"""Seconds between two reads of the map. A measured time may be too long by this."""

UNLIMITED_MIB: Final = 1 << 20
"""The limit of kubepods, which is more than the memory of any guest."""


class NodeKubelet:
    """Pods by uid. A container's process is a hog with the container's name."""

    def __init__(self, machine: Node) -> None:
        self._machine = machine
        self._kubelet = Kubelet(machine, root_limit=UNLIMITED_MIB)
        self._pods: dict[str, Pod] = {}
        self.hogs: dict[tuple[str, str], Hog] = {}

    @property
    def kubepods(self) -> Cgroup:
        return self._kubelet.kubepods

    def start_pods(self, pods: Iterable[Mapping[str, Any]]) -> None:
        """Make the cgroups of sandbox and containers for pods without processes. Each pod has the fields of a `Pod`."""
        for fields in pods:
            pod = Pod(**{**fields, "containers": tuple(fields["containers"])})
            self._pods[pod.uid] = pod
            for name in ("POD", *pod.containers):
                self.container(pod.uid, name)

    def end_pods(self, uids: Iterable[str]) -> None:
        """Kill the processes of the pods, and remove their cgroups."""
        for uid in uids:
            for key in [key for key in self.hogs if key[0] == uid]:
                self.hogs.pop(key).end()
            self._kubelet.pod(self._pods.pop(uid)).remove()

    def container(self, uid: str, name: str) -> Cgroup:
        return self._kubelet.container(self._pods[uid], name)

    def run(self, uid: str, container: str, mib: int) -> int:
        """Start the container's process unless it lives, and return its pid."""
        hog = self.hogs.get((uid, container))
        if hog is None or not hog.alive:
            hog = Hog(self.container(uid, container), mib, options=("--name", container))
            self.hogs[uid, container] = hog
        return hog.pid

    def limit(self, uid: str, container: str, mib: int) -> None:
        """Give the container a memory limit."""
        self.container(uid, container).write("memory.max", mib << 20)

    def priority(self, uid: str, container: str) -> int | None:
        """Return the map's priority for a container's own cgroup."""
        with closing(PriorityMap(BPFFS / "maps/cgroup_priority")) as entries:
            found = entries.get(self.container(uid, container).id)
        return found[0] if found else None

    def await_priority(self, uid: str, container: str, wanted: int, patience: float) -> bool:
        """Return True as soon as the map has the priority, or False after `patience` seconds."""
        cgroup_id, end = self.container(uid, container).id, time.monotonic() + patience
        with closing(PriorityMap(BPFFS / "maps/cgroup_priority")) as entries:
            while (found := entries.get(cgroup_id)) is None or found[0] != wanted:
                if time.monotonic() > end:
                    return False
                select.select([], [], [], CHECK_EVERY)
        return True

    def await_mode(self, wanted: str, patience: float) -> bool:
        """Return True as soon as the programs have the mode, or False after `patience` seconds."""
        end = time.monotonic() + patience
        with closing(SettingsMap(BPFFS / "maps/settings")) as settings:
            while settings.mode() != KernelMode[wanted.upper()]:
                if time.monotonic() > end:
                    return False
                select.select([], [], [], CHECK_EVERY)
        return True

    def forget_priorities(self) -> int:
        """Remove all entries of the map, and return their number."""
        with closing(PriorityMap(BPFFS / "maps/cgroup_priority")) as entries:
            ids = list(entries.entries())
            for cgroup_id in ids:
                entries.delete(cgroup_id)
        return len(ids)

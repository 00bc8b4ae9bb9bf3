# SPDX-License-Identifier: Apache-2.0
"""Starts pods as kubelet and containerd do: with the same cgroups and the same weights, but another workload."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from demo.node.story import HOLDS_MIB
from oompolicy.model import Container, Pod, QOSClass
from tests.node.cgroup import Cgroup
from tests.node.hog import Hog

if TYPE_CHECKING:
    from collections.abc import Iterable

KUBEPODS: Final = "kubepods.slice"
SANDBOX_ADJ: Final = -998
"""The value of containerd's defaultSandboxOOMAdj."""


@dataclass(frozen=True, slots=True)
class Running:
    """The only process of a container."""

    pod: Pod
    container: Container
    hog: Hog
    adj: int

    @property
    def name(self) -> str:
        """The container's name, which is unique in the demo."""
        return self.container.name

    @property
    def place(self) -> str:
        """The pod's namespace and name."""
        return f"{self.pod.namespace}/{self.pod.name}"


def oom_score_adj(qos: QOSClass, request: int, capacity: int) -> int:
    """Return the kubelet's weight of a container, as in pkg/kubelet/qos/policy.go. The sizes are in bytes."""
    if qos is QOSClass.GUARANTEED:
        return -997
    if qos is QOSClass.BEST_EFFORT:
        return 1000
    return min(max(1000 - 1000 * request // capacity, 3), 999)


def pod_slice(pod: Pod) -> str:
    """Return the pod's cgroup with the kubelet's systemd driver. A Guaranteed pod has no class in its path."""
    uid = pod.cgroup_uid.replace("-", "_")
    if pod.qos_class is QOSClass.GUARANTEED:
        return f"{KUBEPODS}/kubepods-pod{uid}.slice"
    qos = pod.qos_class.lower()
    return f"{KUBEPODS}/kubepods-{qos}.slice/kubepods-{qos}-pod{uid}.slice"


def start(pods: Iterable[Pod], capacity: int) -> list[Running]:
    """Start all containers, each with its pod's sandbox."""
    return [running for pod in pods for running in _start_pod(pod, capacity)]


def stop(containers: Iterable[Running]) -> None:
    """Kill all processes, and remove the cgroups."""
    for running in containers:
        running.hog.end()
    Cgroup.make(KUBEPODS).remove()


def _start_pod(pod: Pod, capacity: int) -> list[Running]:
    sandbox = sha256(pod.uid.encode()).hexdigest()
    _start_process(pod, sandbox, "pause", 0, SANDBOX_ADJ)
    return [_start_container(pod, container, capacity) for container in pod.containers]


def _start_container(pod: Pod, container: Container, capacity: int) -> Running:
    adj = oom_score_adj(pod.qos_class, container.memory_request, capacity)
    hog = _start_process(pod, container.container_ids[0], container.name, HOLDS_MIB[container.name], adj)
    # Since Kubernetes 1.28 the kubelet sets this, so that all processes of a container die together.
    Cgroup.make(_scope(pod, container.container_ids[0]), memory__oom__group=1)
    return Running(pod, container, hog, adj)


def _start_process(pod: Pod, container_id: str, name: str, mib: int, adj: int) -> Hog:
    return Hog(Cgroup.make(_scope(pod, container_id)), mib, adj=adj, options=("--name", name))


def _scope(pod: Pod, container_id: str) -> str:
    return f"{pod_slice(pod)}/cri-containerd-{container_id}.scope"

# SPDX-License-Identifier: Apache-2.0
"""The state that a kubelet leaves on a node: pods as the API returns them, and their cgroups.

The paths follow pkg/kubelet/cm/cgroup_manager_linux.go and pod_container_manager_linux.go.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from tests.node.cgroup import Cgroup
    from tests.node.machine import Node

Driver = Literal["systemd", "cgroupfs"]
Runtime = Literal["containerd", "cri-o"]
QOS_SEGMENT = {"Guaranteed": "", "Burstable": "burstable", "BestEffort": "besteffort"}
RESOURCES = {
    "Guaranteed": {"requests": {"cpu": "1", "memory": "64Mi"}, "limits": {"cpu": "1", "memory": "64Mi"}},
    "Burstable": {"requests": {"memory": "16Mi"}},
    "BestEffort": {},
}
NODE_NAME = "node-a"


@dataclass
class Pod:
    """A pod of this node. `static` gives it the md5 uid and the mirror annotation of a static pod.

    `uid` is the uid of the API server if there is one.
    """

    name: str
    namespace: str = "default"
    qos: str = "Burstable"
    containers: tuple[str, ...] = ("app",)
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    static: bool = False
    priority_class: str = ""
    uid: str = ""

    def __post_init__(self) -> None:
        self.uid = self.uid or str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{self.namespace}/{self.name}"))

    @property
    def cgroup_uid(self) -> str:
        return hashlib.md5(self.name.encode(), usedforsecurity=False).hexdigest() if self.static else self.uid

    def container_id(self, name: str) -> str:
        return hashlib.sha256(f"{self.uid}/{name}".encode()).hexdigest()

    def manifest(self, scheme: str = "containerd") -> dict[str, Any]:
        """Return the pod as `kubectl get pod -o yaml` prints it."""
        mirror = {"kubernetes.io/config.mirror": self.cgroup_uid} if self.static else {}
        metadata = {"name": self.name, "namespace": self.namespace, "uid": self.uid, "labels": self.labels}
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": metadata | {"annotations": self.annotations | mirror},
            "spec": ({"priorityClassName": self.priority_class} if self.priority_class else {})
            | {
                "nodeName": NODE_NAME,
                "containers": [{"name": name, "resources": RESOURCES[self.qos]} for name in self.containers],
            },
            "status": {
                "phase": "Running",
                "qosClass": self.qos,
                "containerStatuses": [
                    {"name": name, "containerID": f"{scheme}://{self.container_id(name)}"} for name in self.containers
                ],
            },
        }


class Kubelet:
    """The maker of the pods' cgroups. `root_limit` in MiB is the node's allocatable memory."""

    def __init__(
        self, node: Node, driver: Driver = "systemd", runtime: Runtime = "containerd", root_limit: int = 64
    ) -> None:
        self._node, self._driver, self._runtime = node, driver, runtime
        self.kubepods = node.cgroup(self._path(), memory__max=root_limit << 20)
        self.slices = {qos: self._cgroup(qos) for qos in ("Burstable", "BestEffort")}

    def pod(self, pod: Pod) -> Cgroup:
        """Return the pod's own cgroup."""
        segment = QOS_SEGMENT[pod.qos]
        if self._driver == "cgroupfs":
            return self._node.cgroup("/".join(filter(None, (self._path(pod.qos), f"pod{pod.cgroup_uid}"))))
        uid = pod.cgroup_uid.replace("-", "_")
        return self._node.cgroup(f"{self._path(pod.qos)}/kubepods-{segment + '-' if segment else ''}pod{uid}.slice")

    def container(self, pod: Pod, name: str) -> Cgroup:
        """Return a container's cgroup with the oom.group that the kubelet sets. `POD` is the sandbox."""
        container_id = pod.container_id(name)
        prefix = {"containerd": "cri-containerd-", "cri-o": "crio-"}[self._runtime]
        scope = f"{prefix}{container_id}.scope" if self._driver == "systemd" else container_id
        group = {} if name == "POD" else {"memory__oom__group": 1}
        return self.pod(pod).child(scope, **group)

    def _cgroup(self, qos: str) -> Cgroup:
        return self._node.cgroup(self._path(qos))

    def _path(self, qos: str = "Guaranteed") -> str:
        segment = QOS_SEGMENT[qos]
        if self._driver == "cgroupfs":
            return "/".join(filter(None, ("kubepods", segment)))
        return "/".join(filter(None, ("kubepods.slice", segment and f"kubepods-{segment}.slice")))


def policy_manifest(name: str, **spec: Any) -> dict[str, Any]:  # noqa: ANN401 (as YAML has it)
    return {"apiVersion": "oompolicy.dev/v1alpha1", "kind": "OOMPolicy", "metadata": {"name": name}, "spec": spec}


def write_manifests(folder: Path, *objects: dict[str, Any]) -> None:
    """Write one file for each object, and replace it atomically. JSON is YAML."""
    for each in objects:
        metadata = each["metadata"]
        name = f"{each['kind']}-{metadata.get('namespace', '')}-{metadata['name']}.yaml".lower()
        draft = folder / f".{name}"
        draft.write_text(json.dumps(each, indent=1))
        draft.rename(folder / name)

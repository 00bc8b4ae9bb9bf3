# SPDX-License-Identifier: Apache-2.0
"""The objects of a cluster of some size. Pure.

Pods are spread evenly over nodes and namespaces. QoS classes and applications take turns, so that each kind of policy
has pods to match. Two of five applications label each pod with its own name, as StatefulSets and Jobs do. The operator
counts equal pods together, and these are all different.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterator

POD: Final = Path(__file__).with_name("pod.yaml")
PODS_PER_NODE: Final = 30
PODS_PER_NAMESPACE: Final = 1_000
"""The limit of SIG Scalability is 3,000."""
APPS: Final = ("web", "worker", "cache", "postgres", "batch")
OWN_LABEL: Final = {"postgres": "statefulset.kubernetes.io/pod-name", "batch": "batch.kubernetes.io/job-name"}
QOS: Final = ("Guaranteed", "Burstable", "Burstable", "BestEffort")
TIERS: Final = ("prod", "staging")
CREATED: Final = "2026-11-25T08:00:00Z"


@dataclass(frozen=True)
class Size:
    """The size of a cluster."""

    pods: int

    @property
    def nodes(self) -> int:
        """The number of nodes that the pods need."""
        return -(-self.pods // PODS_PER_NODE)

    @property
    def namespaces(self) -> int:
        """The number of namespaces that the pods need."""
        return -(-self.pods // PODS_PER_NAMESPACE)


def uid(kind: str, number: int) -> str:
    """Return the uid of an object, which is the same in every run."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{kind}-{number}"))


def node_name(number: int) -> str:
    """Return the name of a node."""
    return f"node-{number:05}"


def namespace_name(number: int) -> str:
    """Return the name of a namespace."""
    return f"team-{number:04}"


def pod_path(number: int) -> str:
    """Return the API path of a pod."""
    return f"/api/v1/namespaces/{namespace_name(number // PODS_PER_NAMESPACE)}/pods/{pod_name(number)}"


def pod_name(number: int) -> str:
    """Return the name of a pod."""
    return f"{APPS[number % len(APPS)]}-7d4b9c6f58-{number:06}"


def nodes(numbers: range) -> Iterator[dict[str, Any]]:
    """Yield nodes with only the fields that this benchmark reads."""
    for number in numbers:
        metadata = {"name": node_name(number), "uid": uid("node", number), "creationTimestamp": CREATED}
        yield {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {}, "status": {}}


def namespaces(numbers: range) -> Iterator[dict[str, Any]]:
    """Yield namespaces of two tiers, in turn."""
    for number in numbers:
        name = namespace_name(number)
        labels = {"kubernetes.io/metadata.name": name, "tier": TIERS[number % len(TIERS)]}
        metadata = {"name": name, "uid": uid("namespace", number), "creationTimestamp": CREATED, "labels": labels}
        spec, status = {"finalizers": ["kubernetes"]}, {"phase": "Active"}
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata, "spec": spec, "status": status}


def pods(numbers: range) -> Iterator[dict[str, Any]]:
    """Yield running pods."""
    template = yaml.safe_load(POD.read_text())
    for number in numbers:
        yield pod(template, number)


def pod(template: dict[str, Any], number: int) -> dict[str, Any]:
    """Return one pod. It shares the common fields with the template."""
    qos = QOS[number % len(QOS)]
    metadata = {
        **template["metadata"],
        "name": pod_name(number),
        "namespace": namespace_name(number // PODS_PER_NAMESPACE),
        "uid": uid("pod", number),
        "labels": labels(template["metadata"]["labels"], number),
    }
    (container,) = template["spec"]["containers"]
    spec = {
        **template["spec"],
        "nodeName": node_name(number // PODS_PER_NODE),
        "containers": [{**container, "resources": RESOURCES[qos]}],
    }
    addresses = {"hostIP": address(192, number // PODS_PER_NODE), "podIP": address(10, number)}
    return {
        **template,
        "metadata": metadata,
        "spec": spec,
        "status": {**template["status"], "qosClass": qos, **addresses},
    }


RESOURCES: Final[dict[str, dict[str, Any]]] = {
    "Guaranteed": {kind: {"cpu": "100m", "memory": "256Mi"} for kind in ("limits", "requests")},
    "Burstable": {"limits": {"memory": "512Mi"}, "requests": {"cpu": "100m", "memory": "256Mi"}},
    "BestEffort": {},
}


def labels(common: dict[str, str], number: int) -> dict[str, str]:
    """Return the labels that a controller gives to the pod."""
    app = APPS[number % len(APPS)]
    made = {**common, "app": app, "app.kubernetes.io/instance": f"{app}-{number // PODS_PER_NAMESPACE}"}
    if own := OWN_LABEL.get(app):
        made[own] = pod_name(number)
    return made


def address(network: int, number: int) -> str:
    """Return an address that no other number has in this network."""
    return f"{network}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"

# SPDX-License-Identifier: Apache-2.0
"""The objects of a cluster of some size. Pure.

Pods are spread evenly over nodes and namespaces. QoS classes and applications take turns, so that each kind of policy
has pods to match. Two of five applications label each pod with its own name, as StatefulSets and Jobs do: whoever
counts equal pods together finds these all different.
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
"""SIG Scalability's limit is 3,000."""
APPS: Final = ("web", "worker", "cache", "postgres", "batch")
OWN_LABEL: Final = {"postgres": "statefulset.kubernetes.io/pod-name", "batch": "batch.kubernetes.io/job-name"}
QOS: Final = ("Guaranteed", "Burstable", "Burstable", "BestEffort")
TIERS: Final = ("prod", "staging")
CREATED: Final = "2026-11-25T08:00:00Z"


@dataclass(frozen=True)
class Size:
    """How big a cluster is."""

    pods: int

    @property
    def nodes(self) -> int:
        """As many as carry the pods."""
        return -(-self.pods // PODS_PER_NODE)

    @property
    def namespaces(self) -> int:
        """As many as hold the pods."""
        return -(-self.pods // PODS_PER_NAMESPACE)


def uid(kind: str, number: int) -> str:
    """The same for the same object in every run."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{kind}-{number}"))


def node_name(number: int) -> str:
    """A node's."""
    return f"node-{number:05}"


def namespace_name(number: int) -> str:
    """A namespace's."""
    return f"team-{number:04}"


def pod_path(number: int) -> str:
    """Where the API server serves a pod."""
    return f"/api/v1/namespaces/{namespace_name(number // PODS_PER_NAMESPACE)}/pods/{pod_name(number)}"


def pod_name(number: int) -> str:
    """A pod's."""
    return f"{APPS[number % len(APPS)]}-7d4b9c6f58-{number:06}"


def nodes(numbers: range) -> Iterator[dict[str, Any]]:
    """Nodes as far as anybody here reads them."""
    for number in numbers:
        metadata = {"name": node_name(number), "uid": uid("node", number), "creationTimestamp": CREATED}
        yield {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {}, "status": {}}


def namespaces(numbers: range) -> Iterator[dict[str, Any]]:
    """Namespaces of two tiers, in turn."""
    for number in numbers:
        name = namespace_name(number)
        labels = {"kubernetes.io/metadata.name": name, "tier": TIERS[number % len(TIERS)]}
        metadata = {"name": name, "uid": uid("namespace", number), "creationTimestamp": CREATED, "labels": labels}
        spec, status = {"finalizers": ["kubernetes"]}, {"phase": "Active"}
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata, "spec": spec, "status": status}


def pods(numbers: range) -> Iterator[dict[str, Any]]:
    """Running pods."""
    template = yaml.safe_load(POD.read_text())
    for number in numbers:
        yield pod(template, number)


def pod(template: dict[str, Any], number: int) -> dict[str, Any]:
    """One of them. What it has in common with the others it shares with the template."""
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
    """What its controller labels it with."""
    app = APPS[number % len(APPS)]
    made = {**common, "app": app, "app.kubernetes.io/instance": f"{app}-{number // PODS_PER_NAMESPACE}"}
    if own := OWN_LABEL.get(app):
        made[own] = pod_name(number)
    return made


def address(network: int, number: int) -> str:
    """An address of its own."""
    return f"{network}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"

# SPDX-License-Identifier: Apache-2.0
"""Build objects of kubelets and controllers as plain JSON, and the API paths of objects. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

# kind: (API prefix, plural, True if it is in a namespace)
KINDS = {
    "ClusterRole": ("/apis/rbac.authorization.k8s.io/v1", "clusterroles", False),
    "ConfigMap": ("/api/v1", "configmaps", True),
    "CustomResourceDefinition": ("/apis/apiextensions.k8s.io/v1", "customresourcedefinitions", False),
    "DaemonSet": ("/apis/apps/v1", "daemonsets", True),
    "Deployment": ("/apis/apps/v1", "deployments", True),
    "Event": ("/apis/events.k8s.io/v1", "events", True),
    "Job": ("/apis/batch/v1", "jobs", True),
    "Lease": ("/apis/coordination.k8s.io/v1", "leases", True),
    "Namespace": ("/api/v1", "namespaces", False),
    "Node": ("/api/v1", "nodes", False),
    "OOMNode": ("/apis/oompolicy.dev/v1alpha1", "oomnodes", False),
    "OOMPolicy": ("/apis/oompolicy.dev/v1alpha1", "oompolicies", False),
    "OOMSettings": ("/apis/oompolicy.dev/v1alpha1", "oomsettings", False),
    "Pod": ("/api/v1", "pods", True),
    "PriorityClass": ("/apis/scheduling.k8s.io/v1", "priorityclasses", False),
    "ServiceAccount": ("/api/v1", "serviceaccounts", True),
}


def collection(kind: str, namespace: str | None = None) -> str:
    """Return the path of all objects of a kind, or of those in one namespace."""
    prefix, plural, _ = KINDS[kind]
    return f"{prefix}/namespaces/{namespace}/{plural}" if namespace else f"{prefix}/{plural}"


def location(kind: str, name: str, namespace: str | None = None) -> str:
    """Return the path of one object."""
    return f"{collection(kind, namespace)}/{name}"


def namespace(name: str, labels: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return a namespace. The API server adds the label `kubernetes.io/metadata.name`."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": dict(labels or {})}}


def node(name: str) -> dict[str, Any]:
    """Return a node as a kubelet registers it, with only the fields that the tests read."""
    labels = {"kubernetes.io/hostname": name[:63].rstrip(".-"), "kubernetes.io/os": "linux"}
    return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}


def pod(
    namespace: str,
    name: str,
    *,
    node: str | None = None,
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    requests: Mapping[str, str] | None = None,
    limits: Mapping[str, str] | None = None,
    priority_class: str | None = None,
    service_account: str | None = None,
    containers: tuple[str, ...] = ("app",),
) -> dict[str, Any]:
    """Return a pod as the scheduler leaves it. Each container has the same requests and limits."""
    resources = {"requests": dict(requests or {}), "limits": dict(limits or {})}
    spec = {
        "nodeName": node,
        "priorityClassName": priority_class,
        "serviceAccountName": service_account,
        "containers": [
            {"name": each, "image": "registry.example/app:1", "resources": resources} for each in containers
        ],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "namespace": namespace,
            "name": name,
            "labels": dict(labels or {}),
            "annotations": dict(annotations or {}),
        },
        "spec": {key: value for key, value in spec.items() if value is not None},
    }


def running(containers: Mapping[str, str]) -> dict[str, Any]:
    """Return the status of a running pod with these containers (name -> id of 64 hexadecimal digits)."""
    since = "2026-11-25T12:00:00Z"
    return {
        "phase": "Running",
        "conditions": [{"type": kind, "status": "True"} for kind in ("Initialized", "Ready", "ContainersReady")],
        "containerStatuses": [
            {
                "name": name,
                "containerID": f"containerd://{container_id}",
                "image": "registry.example/app:1",
                "imageID": "registry.example/app@sha256:" + "0" * 64,
                "ready": True,
                "restartCount": 0,
                "started": True,
                "state": {"running": {"startedAt": since}},
            }
            for name, container_id in containers.items()
        ],
    }

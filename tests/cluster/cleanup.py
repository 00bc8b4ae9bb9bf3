# SPDX-License-Identifier: Apache-2.0
"""Delete the objects of a test, because no controller does it here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.cluster.objects import collection, location

if TYPE_CHECKING:
    from tests.cluster.api import Api

# The namespaces that the API server makes itself, and that of `deploy/`.
KEPT_NAMESPACES = {"default", "kube-system", "kube-public", "kube-node-lease", "oompolicy-system"}
AT_ONCE = {"gracePeriodSeconds": "0"}


def clean_up(api: Api) -> None:
    """Delete our objects, nodes, pods and the Lease. Keep the namespaces and PriorityClasses of a new cluster."""
    for namespace in api.list("Namespace"):
        name = namespace["metadata"]["name"]
        for kind in ("Pod", "Event"):
            api.connection.request("DELETE", collection(kind, name), query=AT_ONCE)
        if name not in KEPT_NAMESPACES:
            finish(api, name)
    # A killed operator still holds the Lease, and the next one would wait until it expires.
    api.connection.request("DELETE", collection("Lease", "oompolicy-system"))
    for kind in ("OOMPolicy", "OOMSettings", "OOMNode", "Node"):
        api.connection.request("DELETE", collection(kind), query=AT_ONCE)
    for priority_class in api.list("PriorityClass"):
        if not priority_class["metadata"]["name"].startswith("system-"):
            api.delete("PriorityClass", priority_class["metadata"]["name"])


def finish(api: Api, name: str) -> None:
    """Delete a namespace, and remove its finalizer in the place of the namespace controller."""
    path = location("Namespace", name)
    api.connection.request("DELETE", path)
    finalized: dict[str, Any] = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}, "spec": {}}
    api.connection.request("PUT", f"{path}/finalize", body=finalized)

# SPDX-License-Identifier: Apache-2.0
"""Write and read objects as somebody. ApiError and UnreachableError of `oompolicy.kube` pass through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.cluster import objects
from tests.cluster.objects import collection, location

if TYPE_CHECKING:
    from collections.abc import Mapping

    from oompolicy.kube.connection import Connection

MERGE_PATCH = "application/merge-patch+json"


class Api:
    """The API server, for one identity. `connection` is for everything that has no verb here."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def create(self, obj: Mapping[str, Any], **query: str) -> dict[str, Any]:
        """Create an object of `objects.KINDS`; unknown and duplicate fields are refused, as kubectl has it."""
        path = collection(obj["kind"], obj["metadata"].get("namespace"))
        return self.connection.request("POST", path, query={"fieldValidation": "Strict", **query}, body=obj)

    def get(self, kind: str, name: str, namespace: str | None = None) -> dict[str, Any]:
        return self.connection.request("GET", location(kind, name, namespace))

    def list(self, kind: str, namespace: str | None = None, **query: str) -> list[dict[str, Any]]:
        answer = self.connection.request("GET", collection(kind, namespace), query=query)
        return [dict(item) for item in answer["items"]]

    def patch(
        self, kind: str, name: str, patch: Mapping[str, Any], *, namespace: str | None = None, subresource: str = ""
    ) -> dict[str, Any]:
        """Merge: `None` removes a field. `subresource` is e.g. `/status`."""
        path = location(kind, name, namespace) + subresource
        return self.connection.request("PATCH", path, body=patch, content_type=MERGE_PATCH)

    def delete(self, kind: str, name: str, namespace: str | None = None) -> None:
        """Delete at once, as a kubelet does when a pod has ended."""
        self.connection.request("DELETE", location(kind, name, namespace), query={"gracePeriodSeconds": "0"})

    def node(self, name: str) -> dict[str, Any]:
        return self.create(objects.node(name))

    def namespace(self, name: str, labels: Mapping[str, str] | None = None) -> dict[str, Any]:
        return self.create(objects.namespace(name, labels))

    def pod(self, namespace: str, name: str, **words: Any) -> dict[str, Any]:  # noqa: ANN401 - those of objects.pod
        return self.create(objects.pod(namespace, name, **words))

    def run(self, pod: Mapping[str, Any], containers: Mapping[str, str]) -> dict[str, Any]:
        """Say of a pod that its containers (name -> id) run, as its kubelet would."""
        metadata, status = pod["metadata"], objects.running(containers)
        namespace, name = metadata["namespace"], metadata["name"]
        return self.patch("Pod", name, {"status": status}, namespace=namespace, subresource="/status")

    def token(self, namespace: str, account: str, pod: Mapping[str, Any] | None = None) -> str:
        """A token of a service account.

        With the `pod` that it is bound to, its claims name that pod and the node it is on, and it is worth nothing
        once the pod is gone. The pod's `serviceAccountName` must be `account`, and its node must exist.
        """
        spec: dict[str, Any] = {"expirationSeconds": 3600}
        if pod is not None:
            metadata = pod["metadata"]
            bound = {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]}
            spec["boundObjectRef"] = bound
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        path = f"{location('ServiceAccount', account, namespace)}/token"
        return str(self.connection.request("POST", path, body=request)["status"]["token"])

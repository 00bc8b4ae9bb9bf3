# SPDX-License-Identifier: Apache-2.0
"""Write and read objects as one user. ApiError and UnreachableError of `oompolicy.kube` pass through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.cluster import objects
from tests.cluster.objects import collection, location

if TYPE_CHECKING:
    from collections.abc import Mapping

    from oompolicy.kube.connection import Connection

MERGE_PATCH = "application/merge-patch+json"


class Api:
    """The API server, for one user. `connection` is for all requests that have no method here."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def create(self, obj: Mapping[str, Any], **query: str) -> dict[str, Any]:
        """Create an object of `objects.KINDS`. As with kubectl, unknown and duplicate fields are refused."""
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
        """Send a merge patch, in which None removes a field. `subresource` is for example `/status`."""
        path = location(kind, name, namespace) + subresource
        return self.connection.request("PATCH", path, body=patch, content_type=MERGE_PATCH)

    def delete(self, kind: str, name: str, namespace: str | None = None) -> None:
        """Delete at once, as a kubelet does when a pod has ended."""
        self.connection.request("DELETE", location(kind, name, namespace), query={"gracePeriodSeconds": "0"})

    def node(self, name: str) -> dict[str, Any]:
        return self.create(objects.node(name))

    def namespace(self, name: str, labels: Mapping[str, str] | None = None) -> dict[str, Any]:
        return self.create(objects.namespace(name, labels))

    def pod(self, namespace: str, name: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - those of objects.pod
        return self.create(objects.pod(namespace, name, **fields))

    def run(self, pod: Mapping[str, Any], containers: Mapping[str, str]) -> dict[str, Any]:
        """Report the containers (name -> id) of a pod as running, as its kubelet would."""
        metadata, status = pod["metadata"], objects.running(containers)
        namespace, name = metadata["namespace"], metadata["name"]
        return self.patch("Pod", name, {"status": status}, namespace=namespace, subresource="/status")

    def token(self, namespace: str, account: str, pod: Mapping[str, Any] | None = None) -> str:
        """Return a token of a service account.

        With a `pod`, the token is bound to it: the claims name the pod and its node, and the token is not valid any
        more once the pod is gone. The pod's `serviceAccountName` must be `account`, and its node must exist.
        """
        spec: dict[str, Any] = {"expirationSeconds": 3600}
        if pod is not None:
            metadata = pod["metadata"]
            bound = {"apiVersion": "v1", "kind": "Pod", "name": metadata["name"], "uid": metadata["uid"]}
            spec["boundObjectRef"] = bound
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        path = f"{location('ServiceAccount', account, namespace)}/token"
        return str(self.connection.request("POST", path, body=request)["status"]["token"])

# SPDX-License-Identifier: Apache-2.0
"""All that the operator asks and writes beside its watches: the one place that acts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from oompolicy.kube.connection import apply
from oompolicy.kube.errors import ApiError
from oompolicy.model import API_VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from oompolicy.kube.connection import Connection

MANAGER: Final = "oompolicy-operator"
POLICIES: Final = f"/apis/{API_VERSION}/oompolicies"
OOMNODES: Final = f"/apis/{API_VERSION}/oomnodes"
_PAGE: Final = "500"


def list_policies(connection: Connection) -> Iterator[dict[str, Any]]:
    """All OOMPolicies as they are now. ApiError, UnreachableError."""
    token = ""
    while True:
        page = _page(connection, token)
        # Items of a list have no kind, and parsing does not ask for it.
        yield from page["items"]
        token = page["metadata"].get("continue", "")
        if not token:
            return


def _page(connection: Connection, token: str) -> dict[str, Any]:
    try:
        return connection.request("GET", POLICIES, query={"limit": _PAGE, "continue": token})
    except ApiError as error:
        if error.status != 404:
            raise
        raise ApiError(404, error.reason, "OOMPolicy is not defined: apply crds/") from error


def apply_status(connection: Connection, name: str, uid: str, status: Mapping[str, Any]) -> dict[str, Any]:
    """The policy as it is then. ApiError 404 or 409: it is gone, or another of its name is there."""
    body = {
        "apiVersion": API_VERSION,
        "kind": "OOMPolicy",
        "metadata": {"name": name, "uid": uid},
        "status": status,
    }
    return apply(connection, f"{POLICIES}/{name}", body, manager=MANAGER, subresource="status", force=True)


def create_oomnode(connection: Connection, name: str, uid: str) -> None:
    """For the Node of this name and uid, which owns it. ApiError 409: it is there already."""
    owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid}
    body = {"apiVersion": API_VERSION, "kind": "OOMNode", "metadata": {"name": name, "ownerReferences": [owner]}}
    connection.request("POST", OOMNODES, query={"fieldManager": MANAGER}, body=body)

# SPDX-License-Identifier: Apache-2.0
"""The operator's requests for OOMPolicies and OOMNodes beside its watches. The Lease is written in `election`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from oompolicy.api import API_VERSION, OOMNODES, POLICIES
from oompolicy.kube.connection import apply
from oompolicy.kube.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from oompolicy.kube.connection import Connection

MANAGER: Final = "oompolicy-operator"
_PAGE: Final = "500"


def list_policies(connection: Connection) -> Iterator[dict[str, Any]]:
    """Return all OOMPolicies. Raise ApiError or UnreachableError if they cannot be listed."""
    token = ""
    while True:
        page = _page(connection, token)
        # The items of a list have no `kind`, and the parser does not need it.
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
    """Write the status of a policy and return the policy.

    Raise ApiError 404 if the policy is deleted, and 409 if the policy of this name has another uid.
    """
    body = {
        "apiVersion": API_VERSION,
        "kind": "OOMPolicy",
        "metadata": {"name": name, "uid": uid},
        "status": status,
    }
    return apply(connection, f"{POLICIES}/{name}", body, manager=MANAGER, subresource="status", force=True)


def create_oomnode(connection: Connection, name: str, uid: str) -> None:
    """Create the OOMNode of the Node with this name and uid. The Node owns it. Raise ApiError 409 if it exists."""
    owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid}
    body = {"apiVersion": API_VERSION, "kind": "OOMNode", "metadata": {"name": name, "ownerReferences": [owner]}}
    connection.request("POST", OOMNODES, query={"fieldManager": MANAGER}, body=body)

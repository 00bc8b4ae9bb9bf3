# SPDX-License-Identifier: Apache-2.0
"""The operator's requests for our objects beside its watches. The Lease is written in `election`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from oompolicy.api import API_VERSION, OOMNODES, POLICIES, SETTINGS
from oompolicy.kube.connection import apply
from oompolicy.kube.errors import ApiError
from oompolicy.oomsettings import NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from oompolicy.kube.connection import Connection
    from oompolicy.oomsettings import Mode

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


def apply_conditions(
    connection: Connection, name: str, uid: str, version: str, conditions: Sequence[Mapping[str, str]]
) -> dict[str, Any]:
    """Write conditions of an OOMNode and return the OOMNode.

    Raise ApiError 404 if it is deleted. Raise ApiError 409 if it has another uid, or if `version` is not its version
    any more: the agent may have reported meanwhile, and its report must stand.
    """
    body = {
        "apiVersion": API_VERSION,
        "kind": "OOMNode",
        "metadata": {"name": name, "uid": uid, "resourceVersion": version},
        "status": {"conditions": conditions},
    }
    return apply(connection, f"{OOMNODES}/{name}", body, manager=MANAGER, subresource="status", force=True)


def list_settings(connection: Connection) -> list[dict[str, Any]] | None:
    """Return all OOMSettings, or `None` if OOMSettings is not defined.

    Raise ApiError or UnreachableError if they cannot be listed.
    """
    try:
        items: list[dict[str, Any]] = connection.request("GET", SETTINGS)["items"]
    except ApiError as error:
        if error.status != 404:
            raise
        return None
    return items


def apply_settings_status(connection: Connection, uid: str, status: Mapping[str, Any]) -> dict[str, Any]:
    """Write the status of OOMSettings and return the object.

    Raise ApiError 404 if it is deleted, and 409 if the object has another uid.
    """
    body = {"apiVersion": API_VERSION, "kind": "OOMSettings", "metadata": {"name": NAME, "uid": uid}, "status": status}
    return apply(connection, f"{SETTINGS}/{NAME}", body, manager=MANAGER, subresource="status", force=True)


def apply_mode(connection: Connection, name: str, uid: str, mode: Mode | None) -> dict[str, Any]:
    """Write `spec.mode` of an OOMNode and return the OOMNode. `None` removes a mode that the operator has written.

    Raise ApiError 404 if it is deleted, and 409 if it has another uid or if another field manager has set another mode.
    """
    body: dict[str, Any] = {"apiVersion": API_VERSION, "kind": "OOMNode", "metadata": {"name": name, "uid": uid}}
    if mode:
        body["spec"] = {"mode": mode}
    return apply(connection, f"{OOMNODES}/{name}", body, manager=MANAGER)


def create_oomnode(connection: Connection, name: str, uid: str) -> None:
    """Create the OOMNode of the Node with this name and uid. The Node owns it. Raise ApiError 409 if it exists."""
    owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid}
    body = {"apiVersion": API_VERSION, "kind": "OOMNode", "metadata": {"name": name, "ownerReferences": [owner]}}
    connection.request("POST", OOMNODES, query={"fieldManager": MANAGER}, body=body)

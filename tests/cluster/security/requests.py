# SPDX-License-Identifier: Apache-2.0
"""The requests of these tests, and the messages of refusals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from oompolicy.kube.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from oompolicy.kube.connection import Connection

GROUP: Final = "/apis/oompolicy.dev/v1alpha1"
OOMNODES: Final = f"{GROUP}/oomnodes"
OOMPOLICIES: Final = f"{GROUP}/oompolicies"
OOMSETTINGS: Final = f"{GROUP}/oomsettings"
PODS: Final = "/api/v1/pods"
AS_GUARDED_A: Final = {"Impersonate-User": "system:node:guarded-a"}
ON_GUARDED_A: Final = {"fieldSelector": "spec.nodeName=guarded-a"}
MERGE_PATCH: Final = "application/merge-patch+json"
APPLY: Final = "application/apply-patch+yaml"


def refusal(attempt: Callable[[], object]) -> str:
    """Return the message with which the API server refuses the request."""
    with pytest.raises(ApiError) as caught:
        attempt()
    assert 403 == caught.value.status, caught.value.message
    return caught.value.message


def is_allowed(attempt: Callable[[], object]) -> bool:
    """Return whether the user has the right to a request. ApiError: it fails for another reason."""
    try:
        attempt()
    except ApiError as error:
        if error.status != 403:
            raise
        return False
    return True


def apply_status(
    connection: Connection,
    name: str,
    status: dict[str, Any],
    *,
    headers: Mapping[str, str] | None = None,
    manager: str = "oompolicy-agent",
) -> None:
    """Write the status of an OOMNode by server-side apply, as an agent does."""
    body = {"apiVersion": "oompolicy.dev/v1alpha1", "kind": "OOMNode", "metadata": {"name": name}, "status": status}
    query = {"fieldManager": manager, "force": "true"}
    connection.request(
        "PATCH", f"{OOMNODES}/{name}/status", query=query, body=body, content_type=APPLY, headers=headers or {}
    )


def merge_patch(connection: Connection, path: str, body: dict[str, Any]) -> dict[str, Any]:
    """Change some fields by a merge patch."""
    return connection.request("PATCH", path, body=body, content_type=MERGE_PATCH)

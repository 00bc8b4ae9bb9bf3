# SPDX-License-Identifier: Apache-2.0
"""A definition of OOMPolicy as of a later version, and the definition of OOMSettings as of an earlier one: absent."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

from oompolicy.kube.errors import ApiError
from tests.cluster.waiting import eventually

if TYPE_CHECKING:
    from tests.cluster.api import Api

KINDS: Final = ("OOMPolicy", "OOMNode", "OOMSettings")
NAME: Final = "oompolicies.oompolicy.dev"


class NewerDefinition:
    """The present definition with a field `spec.newField`. It has a default, and so is in each policy that is read."""

    def __init__(self, api: Api) -> None:
        """Keep the present definition."""
        self._api = api
        self._present: dict[str, Any] = api.get("CustomResourceDefinition", NAME)["spec"]

    def apply(self) -> None:
        newer = copy.deepcopy(self._present)
        spec = newer["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
        spec["properties"]["newField"] = {"type": "string", "default": "x"}
        self._api.patch("CustomResourceDefinition", NAME, {"spec": newer})

    def remove(self) -> None:
        """Restore the present definition, and wait until it is in force."""
        self._api.patch("CustomResourceDefinition", NAME, {"spec": self._present})
        eventually(self._fields, lambda fields: "newField" not in fields)

    def _fields(self) -> set[str]:
        probe = {
            "apiVersion": "oompolicy.dev/v1alpha1",
            "kind": "OOMPolicy",
            "metadata": {"name": "probe"},
            "spec": {"priority": {"value": 1}},
        }
        return set(self._api.create(probe, dryRun="All")["spec"])


def is_served(api: Api, kind: str) -> bool:
    """Return True if the API server lists the objects of a kind."""
    try:
        api.list(kind)
    except ApiError as error:
        if error.status not in (404, 429):
            raise
        return False
    return True


def settings_are_served(api: Api) -> bool:
    """Return True if the API server has the definition of OOMSettings."""
    return is_served(api, "OOMSettings")

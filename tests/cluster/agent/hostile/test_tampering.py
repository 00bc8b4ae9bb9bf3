# SPDX-License-Identifier: Apache-2.0
"""A status that a user writes changes no priority, and does not last."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.cluster.agent.hostile.conftest import POLICY, VALUE
from tests.cluster.waiting import eventually

if TYPE_CHECKING:
    from tests.cluster.agent.running import RunningAgent
    from tests.cluster.api import Api

FORGED: Final = {
    "conditions": [
        {
            "type": "Ready",
            "status": "False",
            "reason": "Forged",
            "message": "\u202eforged\x1b[2J",
            "lastTransitionTime": "9999-12-31T23:59:59Z",
        }
    ]
}


MORE: Final[dict[str, dict[str, Any]]] = {
    "OOMPolicy": {"matchedPods": 2_147_483_647, "observedGeneration": 9_223_372_036_854_775_807},
    "OOMSettings": {"nodesByMode": {"Off": 2_147_483_647}, "observedGeneration": 9_223_372_036_854_775_807},
    "OOMNode": {"mode": "Off", "policyHash": "forged", "lastHeartbeatTime": "0001-01-01T00:00:00Z"},
}


@pytest.mark.usefixtures("operator")
def test_a_forged_status_is_replaced(agent: RunningAgent, api: Api, control: str) -> None:
    """The agent writes the status of its OOMNode again, and the operator those of policies and settings."""
    names = {"OOMPolicy": POLICY, "OOMSettings": "cluster", "OOMNode": agent.node}
    for kind, name in names.items():
        eventually(partial(ready, api, kind, name), lambda text: "'status': 'True'" in text)
        api.patch(kind, name, {"status": {**FORGED, **MORE[kind]}}, subresource="/status")
    for kind, name in names.items():
        eventually(partial(ready, api, kind, name), lambda text: "'status': 'True'" in text and "Forged" not in text)
        eventually(partial(differing, api, kind, name), lambda fields: not fields)

    assert [VALUE] == agent.priorities(control)


def ready(api: Api, kind: str, name: str) -> str:
    """Return the condition Ready as text, which is empty before the first one."""
    conditions = (api.get(kind, name).get("status") or {}).get("conditions") or ()
    return "".join(str(each) for each in conditions if each["type"] == "Ready")


def differing(api: Api, kind: str, name: str) -> list[str]:
    """Return the fields that still have the forged value."""
    status = api.get(kind, name)["status"]
    return [field for field, value in MORE[kind].items() if status.get(field) == value]

# SPDX-License-Identifier: Apache-2.0
"""Makes an OOMNode's status of status.json's content, and says what of it cannot wait. Pure."""

from __future__ import annotations

from datetime import UTC
from typing import TYPE_CHECKING, Any, Final

from oompolicy.model import API_VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

MANAGER: Final = "oompolicy-agent"

_FIELDS: Final = (
    "mode", "backend", "hook", "kernelVersion", "policyHash", "counts", "lastVictims", "conditions",
    "lastHeartbeatTime", "bootID",
)  # fmt: skip
_URGENT: Final = ("mode", "backend", "hook", "policyHash")


def path_of(node: str) -> str:
    """Of the node's object."""
    return f"/apis/{API_VERSION}/oomnodes/{node}"


def body(node: str, status: Mapping[str, Any]) -> dict[str, Any]:
    """What is applied: all fields that we own, so that one which is left out is taken away."""
    kept = {name: status[name] for name in _FIELDS if status.get(name) is not None}
    return {"apiVersion": API_VERSION, "kind": "OOMNode", "metadata": {"name": node}, "status": kept}


def with_heartbeat(status: Mapping[str, Any], boot_id: str, now: datetime) -> dict[str, Any]:
    """Return the status with the heartbeat that the operator expects from a living agent.

    `now` is the time at which the agent's loop made the status, and not the time of the write. A loop that hangs makes
    no status, so its OOMNode gets no new heartbeat although the thread that writes it still runs.
    """
    return {**status, "lastHeartbeatTime": f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}", "bootID": boot_id}


def urgent(status: Mapping[str, Any]) -> tuple[Any, ...]:
    """What others wait for. While a condition is true, its reason may change with every pod, and can wait."""
    conditions = [
        (each["type"], each["status"], each["reason"] if each["status"] != "True" else "")
        for each in status["conditions"]
    ]
    return (*(status.get(name) for name in _URGENT), *conditions)

# SPDX-License-Identifier: Apache-2.0
"""Builds the conditions that the operator sets in the OOMNode of a silent agent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from oompolicy.controller.heartbeats import SilentReason
from oompolicy.controller.nodetable import UNKNOWN
from oompolicy.timestamps import api_time

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from oompolicy.controller.nodetable import NodeReport

_MESSAGES: Final[Mapping[SilentReason, str]] = {
    SilentReason.AGENT_SILENT: (
        "the agent has been silent since {since} (by the node's clock), so this status may be out of date. "
        "The kernel keeps the last priorities until the node reboots"
    ),
    SilentReason.NODE_REBOOTED: (
        "the node has rebooted, and its agent has been silent since {since} (by the node's clock, before the reboot). "
        "A reboot removes programs and priorities from the kernel"
    ),
}
_RUN: Final = "Run: kubectl --namespace {namespace} get pods --output wide --field-selector spec.nodeName={node}"


def unknown(report: NodeReport, reason: SilentReason, namespace: str, now: datetime) -> list[dict[str, str]]:
    """Return all conditions of an OOMNode as `Unknown`. `namespace` is where the agents run.

    No condition is left out, because every one of them is a claim that nobody has confirmed.
    """
    message = _MESSAGES[reason].format(since=report.heartbeat.time)
    message = f"{message}. {_RUN.format(namespace=namespace, node=report.name)}"
    return [
        {
            "type": each.type,
            "status": UNKNOWN,
            "reason": reason,
            "message": message,
            "lastTransitionTime": each.since if each.status == UNKNOWN else api_time(now),
        }
        for each in report.conditions
    ]

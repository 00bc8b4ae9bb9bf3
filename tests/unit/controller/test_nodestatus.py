# SPDX-License-Identifier: Apache-2.0
"""The conditions of a silent agent are Unknown, and their message has the command to run."""

from __future__ import annotations

from datetime import UTC, datetime

from oompolicy.controller.heartbeats import Heartbeat, SilentReason
from oompolicy.controller.nodestatus import unknown
from oompolicy.controller.nodetable import NodeCondition, NodeReport

NOW = datetime(2026, 11, 28, 5, 11, tzinfo=UTC)
REPORT = NodeReport(
    "n1",
    "EvaluateTask",
    "aa",
    (
        NodeCondition("Ready", "True", "Ready", "2026-11-28T04:00:00Z"),
        NodeCondition("Enforcing", "False", "ObserveOnly", "2026-11-28T04:00:00Z"),
        NodeCondition("OfTomorrow", "Unknown", "Some", "2026-11-28T04:00:00Z"),
    ),
    Heartbeat("2026-11-28T05:00:00Z", "b1"),
)


def test_each_condition_is_unknown() -> None:
    """This includes a condition with the status False, and one that this operator does not know."""
    made = unknown(REPORT, SilentReason.AGENT_SILENT, "oompolicy-system", NOW)

    assert ["Ready", "Enforcing", "OfTomorrow"] == [each["type"] for each in made]
    assert {("Unknown", "AgentSilent")} == {(each["status"], each["reason"]) for each in made}


def test_the_time_of_transition_changes_only_with_the_status() -> None:
    """A new reason is no transition."""
    made = unknown(REPORT, SilentReason.NODE_REBOOTED, "oompolicy-system", NOW)

    assert ["2026-11-28T05:11:00Z", "2026-11-28T05:11:00Z", "2026-11-28T04:00:00Z"] == [
        each["lastTransitionTime"] for each in made
    ]


def test_the_message_has_the_time_and_the_command() -> None:
    """The command has the namespace of this installation and the name of the node."""
    run = "Run: kubectl --namespace my-system get pods --output wide --field-selector spec.nodeName=n1"
    silent, rebooted = (unknown(REPORT, each, "my-system", NOW)[0]["message"] for each in SilentReason)

    assert "the agent has been silent since 2026-11-28T05:00:00Z" in silent
    assert "The kernel keeps the last priorities until the node reboots" in silent
    assert "the node has rebooted" in rebooted
    assert "2026-11-28T05:00:00Z" in rebooted
    assert "A reboot removes programs and priorities from the kernel" in rebooted
    assert silent.endswith(run)
    assert rebooted.endswith(run)

# SPDX-License-Identifier: Apache-2.0
"""Nodes and OOMNodes are joined by name."""

from __future__ import annotations

from oompolicy.controller.heartbeats import SilentReason
from oompolicy.controller.nodetable import NodeCondition, NodeReport, NodeTable


def table(nodes: dict[str, str], *reports: NodeReport) -> NodeTable:
    made = NodeTable()
    made.nodes = nodes
    made.reports = {f"oomnode-{each.name}": each for each in reports}
    return made


def test_a_node_without_oomnode_is_found() -> None:
    """The result has the uid of the Node, which will own the OOMNode."""
    made = table({"u1": "n1", "u2": "n2"}, NodeReport("n1", "", ""))

    assert [("n2", "u2")] == list(made.without_oomnode())


def test_nodes_are_counted_by_the_reports_of_their_oomnodes() -> None:
    """An OOMNode without a Node is not counted, and a Node without a report has the backend `Unknown`."""
    made = table(
        {"u1": "n1", "u2": "n2", "u3": "n3", "u4": "n4"},
        NodeReport("n1", "EvaluateTask", "aa"),
        NodeReport("n2", "ObserveOnly", "bb"),
        NodeReport("n3", "", ""),
        NodeReport("gone", "EvaluateTask", "aa"),
    )

    assert {"EvaluateTask": 1, "ObserveOnly": 1, "Unknown": 2} == made.backends()
    assert {"aa": 1, "bb": 1, "": 1} == made.hashes()


def condition(kind: str, status: str = "True", reason: str = "Good") -> NodeCondition:
    return NodeCondition(kind, status, reason, "2026-11-28T05:00:00Z")


def test_a_silent_node_counts_as_unknown() -> None:
    """The conditions in the OOMNode suffice, because an operator that has just started has judged nothing yet."""
    marked = condition("Ready", "Unknown", "AgentSilent"), condition("Enforcing", "Unknown", "AgentSilent")
    made = table(
        {"u1": "n1", "u2": "n2", "u3": "n3"},
        NodeReport("n1", "EvaluateTask", "aa", (condition("Ready"),)),
        NodeReport("n2", "EvaluateTask", "aa", (condition("Ready"),)),
        NodeReport("n3", "EvaluateTask", "aa", marked),
    )
    made.judged = {"n2": SilentReason.AGENT_SILENT}

    assert {"EvaluateTask": 1, "Unknown": 2} == made.backends()
    assert {"aa": 1, "": 2} == made.hashes()
    assert 2 == made.silent()


def test_an_oomnode_is_unmarked_until_each_condition_has_the_reason() -> None:
    """A reboot of a node that was silent before changes the reason."""
    half = condition("Ready", "Unknown", "AgentSilent"), condition("Enforcing")
    both = condition("Ready", "Unknown", "AgentSilent"), condition("Enforcing", "Unknown", "AgentSilent")
    made = table({}, *(NodeReport(name, "", "", half if name == "n1" else both) for name in ("n1", "n2", "n3", "n4")))
    silent, rebooted = SilentReason.AGENT_SILENT, SilentReason.NODE_REBOOTED
    made.judged = {"n1": silent, "n2": silent, "n3": rebooted, "gone": silent}

    assert {"oomnode-n1": silent, "oomnode-n3": rebooted} == dict(made.unmarked())

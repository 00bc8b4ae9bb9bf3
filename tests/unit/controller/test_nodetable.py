# SPDX-License-Identifier: Apache-2.0
"""Nodes and OOMNodes are joined by name."""

from __future__ import annotations

from oompolicy.controller.nodetable import NodeReport, NodeTable


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

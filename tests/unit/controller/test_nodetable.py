# SPDX-License-Identifier: Apache-2.0
"""Nodes and OOMNodes are joined by name."""

from __future__ import annotations

from oompolicy.controller.nodetable import NodeTable, Said


def table(nodes: dict[str, str], *said: Said) -> NodeTable:
    made = NodeTable()
    made.nodes = nodes
    made.said = {f"oomnode-{each.name}": each for each in said}
    return made


def test_a_node_without_oomnode_is_missing_one() -> None:
    """With the uid of its owner to be."""
    made = table({"u1": "n1", "u2": "n2"}, Said("n1", "", ""))

    assert [("n2", "u2")] == list(made.without_oomnode())


def test_nodes_are_counted_by_what_their_oomnodes_say() -> None:
    """An OOMNode whose Node is gone counts for nothing, a Node without one is unknown."""
    made = table(
        {"u1": "n1", "u2": "n2", "u3": "n3", "u4": "n4"},
        Said("n1", "EvaluateTask", "aa"),
        Said("n2", "ObserveOnly", "bb"),
        Said("n3", "", ""),
        Said("gone", "EvaluateTask", "aa"),
    )

    assert {"EvaluateTask": 1, "ObserveOnly": 1, "Unknown": 2} == made.backends()
    assert {"aa": 1, "bb": 1, "": 1} == made.hashes()

# SPDX-License-Identifier: Apache-2.0
"""The command `mode` says which field decides the mode of each node, and what a change does before it is made."""

from __future__ import annotations

from typing import Any

import pytest

from oompolicy.cli.modechange import (
    ModeNode,
    changes,
    mode_nodes,
    patch_of,
    raw_selector,
    selector_text,
    settings_of,
    table,
)
from oompolicy.oomsettings import Mode, OOMSettings
from oompolicy.parse.selectortext import parse_selector

CANARY = {"matchLabels": {"pool": "canary"}}


def settings(**spec: Any) -> OOMSettings:  # noqa: ANN401 - as JSON has it
    return settings_of({"metadata": {"name": "cluster"}, "spec": {"mode": "Audit", **spec}})


def nodes() -> list[ModeNode]:
    """A node without a label, one of the canary pool, one with a mode of its own, and one without a report."""
    labels = {"a": {}, "b": {"pool": "canary"}, "c": {"pool": "canary"}, "d": {}}
    modes = {"b": "Enforce", "c": "Off"}
    oomnodes = [
        {
            "metadata": {"name": name},
            "spec": {"mode": modes[name]} if name in modes else {},
            "status": {} if name == "d" else {"mode": modes.get(name, "Audit")},
        }
        for name in reversed(labels)
    ]
    return mode_nodes(oomnodes, [{"metadata": {"name": name, "labels": each}} for name, each in labels.items()])


def test_the_table_names_the_field_that_decides() -> None:
    """A mode that differs from nodeModes was written to the OOMNode itself."""
    found = table(settings(nodeModes=[{"nodeSelector": CANARY, "mode": "Enforce"}]), nodes())

    assert [
        ("a", "Audit", "Audit", "mode of OOMSettings"),
        ("b", "Enforce", "Enforce", "nodeModes of OOMSettings: pool=canary"),
        ("c", "Off", "Off", "mode of the OOMNode"),
        ("d", "-", "Audit", "mode of OOMSettings"),
    ] == found.rows


def test_the_kill_switch_decides_for_every_node() -> None:
    assert {("Off", "suspend of OOMSettings")} == {row[2:] for row in table(settings(suspend=True), nodes()).rows}


def test_a_mode_without_a_selector_is_that_of_the_cluster() -> None:
    """Nodes that nodeModes selects, and those with a mode of their own, keep it."""
    assert {"mode": "Enforce"} == patch_of({"mode": "Audit"}, "Enforce", None)
    entries = [{"nodeSelector": CANARY, "mode": "Enforce"}]
    before, after = settings(nodeModes=entries), settings(nodeModes=entries, mode="Enforce")

    assert [("a", "Audit", "Enforce"), ("d", "Audit", "Enforce")] == changes(before, after, nodes()).rows


def test_a_selector_becomes_the_first_entry() -> None:
    """An entry with the same selector in another form is replaced, and the others keep their order."""
    same = {"matchExpressions": [{"key": "pool", "operator": "In", "values": ["canary"]}]}
    other = {"nodeSelector": {"matchLabels": {"zone": "a"}}, "mode": "Off"}
    spec = {"mode": "Audit", "nodeModes": [other, {"nodeSelector": same, "mode": "Audit"}]}
    patch = patch_of(spec, "Enforce", parse_selector("pool=canary"))

    assert {"nodeModes": [{"nodeSelector": CANARY, "mode": "Enforce"}, other]} == patch


def test_an_entry_changes_the_nodes_that_it_selects() -> None:
    """The node whose mode somebody has set on its OOMNode is not among them."""
    before = settings(nodeModes=[{"nodeSelector": CANARY, "mode": "Enforce"}])
    after = settings(nodeModes=[{"nodeSelector": CANARY, "mode": "Audit"}])

    assert [("b", "Enforce", "Audit")] == changes(before, after, nodes()).rows


def test_suspend_and_resume_set_the_kill_switch() -> None:
    """Suspended nodes are in mode Off, and get their modes again."""
    assert [{"suspend": True}, {"suspend": False}] == [patch_of({}, action, None) for action in ("suspend", "resume")]
    found = changes(settings(), settings(suspend=True), nodes())

    assert [("a", "Audit", "Off"), ("b", "Enforce", "Off"), ("d", "Audit", "Off")] == found.rows


@pytest.mark.parametrize(
    "text", ["pool=canary", "pool in (a, b)", "pool notin (a)", "pool,!legacy", "pool=a,zone=b", "pool=a,pool=b"]
)
def test_a_selector_survives_the_way_to_the_object(text: str) -> None:
    """The API server reads the same requirements, and the table prints them again."""
    selector = parse_selector(text)
    read = settings(nodeModes=[{"nodeSelector": raw_selector(selector), "mode": "Enforce"}]).node_modes[0].selector

    assert set(selector.requirements) == set(read.requirements)
    assert set(selector.requirements) == set(parse_selector(selector_text(read)).requirements)


def test_an_empty_selector_is_every_node() -> None:
    assert "every node" == selector_text(
        settings(nodeModes=[{"nodeSelector": {}, "mode": "Off"}]).node_modes[0].selector
    )


def test_settings_that_are_not_valid_are_one_sentence() -> None:
    with pytest.raises(ValueError, match=r"spec\.mode: must be one of"):
        settings(mode="Never")


def test_a_mode_of_a_later_version_counts_as_none() -> None:
    """The agent of this version does not obey it either."""
    (found,) = mode_nodes([{"metadata": {"name": "a"}, "spec": {"mode": "New"}}], [])

    assert (None, None) == (found.own, found.reported)
    assert [Mode.AUDIT.value] == [row[2] for row in table(settings(), [found]).rows]

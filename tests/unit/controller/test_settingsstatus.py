# SPDX-License-Identifier: Apache-2.0
"""The status of OOMSettings says which settings are in effect, where they are not, and why."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from oompolicy.controller.modetable import Difference
from oompolicy.controller.settingsstatus import NodeModes, build
from oompolicy.controller.settingstable import SettingsTable
from oompolicy.oomsettings import Mode
from tests.unit.controller.raws import raw_settings

NOW = datetime(2026, 11, 28, 12, 0, 0, tzinfo=UTC)
CANARY, BIG = {"pool": "canary"}, {"pool": "big"}


def built(raw: dict[str, Any] | None = None, **nodes: Any) -> dict[str, Any]:  # noqa: ANN401
    table = SettingsTable()
    table.put(raw or raw_settings())
    assert table.record is not None
    return build(table.record, table.valid, NodeModes({"Audit": 2}, {"EvaluateTask": 2}, **nodes), NOW)


def said(status: dict[str, Any], kind: str) -> tuple[str, str, str]:
    (found,) = (each for each in status["conditions"] if each["type"] == kind)
    return found["status"], found["reason"], found["message"]


def test_the_status_has_the_generation_and_the_counts() -> None:
    """Each condition has the generation too."""
    status = built(raw_settings(generation=4))

    assert (4, {"Audit": 2}, {"EvaluateTask": 2}) == tuple(
        status[each] for each in ("observedGeneration", "nodesByMode", "nodesByBackend")
    )
    assert [4] * 4 == [each["observedGeneration"] for each in status["conditions"]]
    assert ("True", "Valid", "the settings are valid") == said(status, "Ready")


def test_settings_that_are_not_valid_are_not_ready() -> None:
    """The condition says that the last valid settings stay, and has the parser's message."""
    status, reason, message = said(built(raw_settings("Sometimes")), "Ready")

    assert ("False", "Invalid") == (status, reason)
    assert ("False", "Invalid") == said(built(raw_settings("Sometimes")), "Applied")[:2]
    assert "the last valid settings stay in effect: spec.mode: must be one of Enforce, Audit, Off" in message


def test_unknown_fields_are_named() -> None:
    """Settings with fields of a newer version are applied without them."""
    raw = raw_settings()
    raw["spec"]["newField"] = 1

    assert said(built(raw), "Ready")[1:] == (
        "UnknownFields",
        "the settings are applied without fields that this operator does not know: spec.newField",
    )


@pytest.mark.parametrize(
    ("node_modes", "used", "expected"),
    [
        ((), (), ("False", "AllUsed", "each entry of nodeModes applies to a node")),
        ([(CANARY, "Off")], [0], ("False", "AllUsed", "each entry of nodeModes applies to a node")),
        ([(CANARY, "Off")], (), ("True", "NoNode", "nodeModes[0] applies to no node at present")),
        (
            [(CANARY, "Off"), (CANARY, "Enforce"), (BIG, "Off")],
            [0],
            (
                "True",
                "NeverApplies",
                "nodeModes[1] never applies, because nodeModes[0] comes first and selects its nodes."
                " nodeModes[2] applies to no node at present",
            ),
        ),
    ],
)
def test_entries_that_apply_to_no_node_are_named(
    node_modes: list[tuple[dict[str, str], str]], used: list[int], expected: tuple[str, str, str]
) -> None:
    """An entry that can never apply names the earlier entry that takes its nodes."""
    status = built(raw_settings(node_modes=node_modes), used=frozenset(used))

    assert expected == said(status, "UnusedNodeModes")


def test_the_settings_are_applied_when_no_node_differs() -> None:
    """A user can wait for the condition after a change: it is False while a node reports another mode."""
    late = {f"n{number:02}": Difference(Mode.AUDIT, "Enforce") for number in range(12)}

    assert ("True", "AllNodes") == said(built(), "Applied")[:2]
    assert ("False", "Changing") == said(built(differs=True), "Applied")[:2]
    status, reason, message = said(built(differs=True, late=late), "Applied")
    assert ("False", "NodesDiffer") == (status, reason)
    assert "n09 (wanted Audit, reports Enforce) and 2 more. An agent that is older than OOMSettings" in message


def test_nodes_with_a_mode_of_another_manager_are_named() -> None:
    """The message has the command that gives the field back to the operator."""
    assert ("False", "NotOverridden") == said(built(), "Overridden")[:2]
    status, reason, message = said(built(overridden={"n1": ("Off", "kubectl-patch")}), "Overridden")

    assert ("True", "OtherManager") == (status, reason)
    assert "n1 (Off, by kubectl-patch). To give it back, remove the field: kubectl patch oomnode NODE" in message

# SPDX-License-Identifier: Apache-2.0
"""The mode of each node follows from settings, labels and reports, and a user's own spec.mode stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from oompolicy.controller.modetable import Difference, ModeTable
from oompolicy.controller.nodetable import NodeReport, NodeSpec
from oompolicy.oomsettings import Mode
from tests.unit.controller.raws import raw_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

CANARY, BIG = {"pool": "canary"}, {"pool": "big"}
CANARIES = ((CANARY, "Enforce"),)


def table(mode: str = "Audit", *, suspend: bool = False, **labels: Mapping[str, str]) -> ModeTable:
    """Return a table with settings that have canaries, and with Nodes by name."""
    made = ModeTable()
    made.settings.put(raw_settings(mode, suspend=suspend, node_modes=CANARIES))
    for name, each in labels.items():
        made.node(name, each)
    return made


def report(name: str = "n1", mode: str = "", spec: NodeSpec | None = None) -> tuple[str, NodeReport]:
    return f"o-{name}", NodeReport(name, "", "", mode=mode, spec=spec or NodeSpec())


def own(mode: str) -> NodeSpec:
    return NodeSpec(mode, own=True)


@pytest.mark.parametrize(
    ("labels", "spec", "expected"),
    [
        (CANARY, NodeSpec(), {"o-n1": Mode.ENFORCE}),
        (CANARY, own("Enforce"), {}),
        (CANARY, own("Off"), {"o-n1": Mode.ENFORCE}),
        (BIG, own("Enforce"), {"o-n1": None}),
        (BIG, NodeSpec(), {}),
    ],
)
def test_the_mode_of_an_entry_is_written_until_the_oomnode_has_it(
    labels: Mapping[str, str], spec: NodeSpec, expected: dict[str, Mode | None]
) -> None:
    """The operator removes its own mode from a node that no entry selects any more."""
    modes = table(n1=labels)
    modes.evaluate([report(spec=spec)], ())

    assert expected == modes.unwritten


@pytest.mark.parametrize("labels", [CANARY, BIG])
@pytest.mark.parametrize("spec", [NodeSpec("Off", others=("kubectl",)), NodeSpec("Off", own=True, others=("kubectl",))])
def test_the_mode_of_another_manager_stays(labels: Mapping[str, str], spec: NodeSpec) -> None:
    """The OOMNode is named with the mode and the manager."""
    modes = table(n1=labels)
    modes.evaluate([report(spec=spec)], ())

    assert ({}, {"n1": ("Off", "kubectl")}) == (modes.unwritten, modes.overridden)


def test_a_mode_without_a_known_manager_stays() -> None:
    """A client may have removed all field managers from an object."""
    modes = table(n1=CANARY)
    modes.evaluate([report(spec=NodeSpec("Off"))], ())

    assert ({}, {"n1": ("Off", "unknown")}) == (modes.unwritten, modes.overridden)


def test_a_new_label_changes_the_mode() -> None:
    """The same labels again are no change."""
    modes = table(n1=BIG)
    modes.evaluate([report()], ())
    assert {} == modes.unwritten
    assert (False, True) == (modes.node("n1", dict(BIG)), modes.node("n1", CANARY))
    modes.evaluate([report()], ())

    assert {"o-n1": Mode.ENFORCE} == modes.unwritten
    assert {0} == modes.applied_entries()


def test_new_entries_are_compared_with_all_nodes() -> None:
    """Nodes that have joined before count too, and deleted ones do not."""
    modes = table(n1=BIG, n2=CANARY)
    modes.evaluate([report("n1"), report("n2")], ())
    modes.settings.put(raw_settings(generation=2, node_modes=[(BIG, "Off"), (CANARY, "Audit")]))
    modes.node_deleted("n2")
    modes.evaluate([report("n1")], ())

    assert ({"o-n1": Mode.OFF}, {0}) == (modes.unwritten, modes.applied_entries())


def test_nothing_is_written_while_the_settings_are_unknown() -> None:
    """An operator that has just started, and settings that were never valid since then, change no node."""
    modes = ModeTable()
    modes.node("n1", CANARY)
    modes.settings.put(raw_settings("Sometimes"))
    modes.evaluate([report(spec=own("Off"), mode="Enforce")], ())
    assert ({}, 0) == (modes.unwritten, modes.differing)


def test_deleted_settings_leave_the_modes_of_nodes() -> None:
    """To delete an OOMSettings that stops some nodes must not start them."""
    modes = table(n1=CANARY, n2=CANARY)
    modes.settings.drop("uid-settings")
    modes.evaluate([report("n1", spec=own("Off")), report("n2", spec=NodeSpec("Off", others=("kubectl",)))], ())

    assert {} == modes.unwritten


KUBECTL = NodeSpec("Off", others=("kubectl",))


@pytest.mark.parametrize(
    ("suspend", "spec", "reported", "expected"),
    [
        (False, NodeSpec(), "Audit", {}),
        (False, NodeSpec(), "Enforce", {"n1": Difference(Mode.AUDIT, "Enforce")}),
        # No entry selects the node, so its mode will be removed.
        (False, own("Enforce"), "Enforce", {"n1": Difference(Mode.AUDIT, "Enforce")}),
        (False, own("Enforce"), "Audit", {}),
        (False, KUBECTL, "Off", {}),
        (True, NodeSpec("Enforce", others=("kubectl",)), "Enforce", {"n1": Difference(Mode.OFF, "Enforce")}),
        (False, NodeSpec(), "", {}),
    ],
)
def test_a_node_differs_if_it_reports_another_mode(
    suspend: bool, spec: NodeSpec, reported: str, expected: dict[str, Difference]
) -> None:
    """A node without a report does not differ, because nothing is known of it."""
    modes = table(suspend=suspend, n1=BIG)
    modes.evaluate([report(mode=reported, spec=spec)], ())

    assert expected == modes.late(0.0, settle=0.0)


def test_a_node_is_late_after_some_time() -> None:
    """The time begins again if the wanted or the reported mode changes, and a silent node is never late."""
    modes = table(n1=BIG)
    modes.evaluate([report(mode="Enforce")], ())
    assert ({}, 30.0) == (modes.late(0.0, 30.0), modes.next_late(0.0, 30.0))
    assert {"n1": Difference(Mode.AUDIT, "Enforce")} == modes.late(30.0, 30.0)
    assert float("inf") == modes.next_late(30.0, 30.0)

    modes.settings.put(raw_settings("Off", generation=2))
    modes.evaluate([report(mode="Enforce")], ())
    assert ({}, 61.0) == (modes.late(31.0, 30.0), modes.next_late(31.0, 30.0))

    modes.evaluate([report(mode="Enforce")], ["n1"])
    assert {} == modes.late(100.0, 30.0)

# SPDX-License-Identifier: Apache-2.0
"""Builds the status of OOMSettings.

Each write of the status is sent to the agent of every node, so no message has a number that changes often.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from oompolicy.conditions import TRANSITION, condition, transition_time
from oompolicy.resolve.modes import never_deciding

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from oompolicy.controller.modetable import Difference
    from oompolicy.controller.settingstable import SettingsRecord
    from oompolicy.oomsettings import OOMSettings

NAMES: Final = 10
"""The number of nodes that a message names."""

COUNTS: Final = ("nodesByMode", "nodesByBackend")


class Reason(StrEnum):
    """The reasons of the conditions of OOMSettings. docs/reference.md describes each of them."""

    VALID = "Valid"
    UNKNOWN_FIELDS = "UnknownFields"
    INVALID = "Invalid"
    ALL_USED = "AllUsed"
    NEVER_APPLIES = "NeverApplies"
    NO_NODE = "NoNode"
    ALL_NODES = "AllNodes"
    CHANGING = "Changing"
    NODES_DIFFER = "NodesDiffer"
    NOT_OVERRIDDEN = "NotOverridden"
    OTHER_MANAGER = "OtherManager"


@dataclass(frozen=True, slots=True)
class NodeModes:
    """The conclusions from the reports of all nodes.

    `used` has the indexes of the entries that apply to at least one Node. `differs` is True if a node reports another
    mode than the wanted one, and `late` has the nodes that have done so for some time, by name. `overridden` has the
    mode and the field manager of each OOMNode whose spec.mode the operator has not written.
    """

    by_mode: Mapping[str, int]
    by_backend: Mapping[str, int]
    used: frozenset[int] = frozenset()
    differs: bool = False
    late: Mapping[str, Difference] | None = None
    overridden: Mapping[str, tuple[str, str]] | None = None


def build(record: SettingsRecord, valid: OOMSettings | None, nodes: NodeModes, now: datetime) -> dict[str, Any]:
    """Return the status of the object. `valid` are the last valid settings, which may be those of an older object."""
    before = {each["type"]: each for each in record.status.get("conditions", ())}
    made = (_ready(record), _unused(valid, nodes), _applied(record, nodes), _overridden(nodes))
    return {
        "observedGeneration": record.generation,
        "nodesByMode": dict(nodes.by_mode),
        "nodesByBackend": dict(nodes.by_backend),
        "conditions": [
            each
            | {"observedGeneration": record.generation}
            | {TRANSITION: transition_time(each, before.get(each["type"]), now)}
            for each in made
        ],
    }


def _ready(record: SettingsRecord) -> dict[str, str]:
    if record.problem:
        message = f"the settings are not applied, and the last valid settings stay in effect: {record.problem}"
        return condition("Ready", False, Reason.INVALID, message)
    if record.unknown_fields:
        fields = ", ".join(record.unknown_fields)
        message = f"the settings are applied without fields that this operator does not know: {fields}"
        return condition("Ready", True, Reason.UNKNOWN_FIELDS, message)
    return condition("Ready", True, Reason.VALID, "the settings are valid")


def _unused(valid: OOMSettings | None, nodes: NodeModes) -> dict[str, str]:
    never = never_deciding(valid) if valid else {}
    idle = [index for index in range(len(valid.node_modes) if valid else 0) if index not in {*nodes.used, *never}]
    if not never and not idle:
        return condition("UnusedNodeModes", False, Reason.ALL_USED, "each entry of nodeModes applies to a node")
    sentences = [*_never(never), *(f"nodeModes[{index}] applies to no node at present" for index in idle)]
    reason = Reason.NEVER_APPLIES if never else Reason.NO_NODE
    return condition("UnusedNodeModes", True, reason, ". ".join(sentences))


def _never(never: Mapping[int, int | None]) -> Iterator[str]:
    for index, earlier in never.items():
        if earlier is None:
            yield f"nodeModes[{index}] never applies, because its requirements contradict each other"
        else:
            yield (f"nodeModes[{index}] never applies, because nodeModes[{earlier}] comes first and selects its nodes")


def _applied(record: SettingsRecord, nodes: NodeModes) -> dict[str, str]:
    if record.problem:
        return condition("Applied", False, Reason.INVALID, "the settings are not valid: see the condition Ready")
    if nodes.late:
        named = [f"{name} (wanted {each.wanted}, reports {each.reported})" for name, each in sorted(nodes.late.items())]
        message = (
            f"the agents of these nodes report another mode: {_first(named)}. An agent that is older than OOMSettings"
            " cannot change its mode, and a node audits while its condition CircuitOpen is True"
        )
        return condition("Applied", False, Reason.NODES_DIFFER, message)
    if nodes.differs:
        return condition("Applied", False, Reason.CHANGING, "the mode of some nodes is changing")
    message = "each node whose agent reports is in its mode. nodesByMode.Unknown counts the other nodes"
    return condition("Applied", True, Reason.ALL_NODES, message)


def _overridden(nodes: NodeModes) -> dict[str, str]:
    if not nodes.overridden:
        message = "no OOMNode has a spec.mode that another field manager has written"
        return condition("Overridden", False, Reason.NOT_OVERRIDDEN, message)
    named = [f"{name} ({mode}, by {manager})" for name, (mode, manager) in sorted(nodes.overridden.items())]
    message = (
        f"another field manager has written spec.mode of these OOMNodes, and the operator leaves it: {_first(named)}."
        ' To give it back, remove the field: kubectl patch oomnode NODE --type merge -p \'{"spec":{"mode":null}}\''
    )
    return condition("Overridden", True, Reason.OTHER_MANAGER, message)


def _first(named: Sequence[str]) -> str:
    return ", ".join(named[:NAMES]) + (f" and {len(named) - NAMES} more" if len(named) > NAMES else "")

# SPDX-License-Identifier: Apache-2.0
"""Say which mode each node has to be in and why, and what a change of OOMSettings does to them. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from oompolicy.api import API_VERSION
from oompolicy.cli.table import Table
from oompolicy.model import LabelSelector, Operator, Requirement
from oompolicy.oomsettings import Mode, OOMSettings
from oompolicy.parse import InvalidObject, parse_settings
from oompolicy.resolve.modes import deciding_entry, effective_mode, node_mode

SUSPEND: Final = "suspend"
RESUME: Final = "resume"

Raw = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ModeNode:
    """One node. `own` is `spec.mode` of its OOMNode, and `reported` the mode that its agent reports."""

    name: str
    labels: Mapping[str, str]
    own: Mode | None
    reported: str | None


def mode_nodes(oomnodes: Iterable[Raw], nodes: Iterable[Raw]) -> list[ModeNode]:
    """Return the nodes that have an OOMNode, sorted by name."""
    labels = {str(each["metadata"]["name"]): each["metadata"].get("labels") or {} for each in nodes}
    found = [_mode_node(raw, labels.get(str(raw["metadata"]["name"]), {})) for raw in oomnodes]
    return sorted(found, key=lambda each: each.name)


def _mode_node(raw: Raw, labels: Mapping[str, str]) -> ModeNode:
    own = (raw.get("spec") or {}).get("mode")
    reported = (raw.get("status") or {}).get("mode")
    return ModeNode(str(raw["metadata"]["name"]), labels, Mode(own) if own in list(Mode) else None, reported)


def settings_of(raw: Raw) -> OOMSettings:
    """Return the settings of an object of the API server. Raise ValueError with a sentence if they are not valid."""
    try:
        return parse_settings({**raw, "apiVersion": API_VERSION, "kind": "OOMSettings"}, unknown=[])
    except InvalidObject as error:
        raise ValueError(str(error)) from error


def table(settings: OOMSettings, nodes: Sequence[ModeNode]) -> Table:
    """Return the mode of each node, the mode that it has to be in, and the field that decides this."""
    rows = [
        (each.name, each.reported or "-", str(effective_mode(settings, each.own)), _field(settings, each))
        for each in nodes
    ]
    return Table(("NODE", "MODE", "WANTED", "DECIDED BY"), rows)


def _field(settings: OOMSettings, node: ModeNode) -> str:
    if settings.suspend:
        return "suspend of OOMSettings"
    if node.own is None:
        return "mode of OOMSettings"
    index = deciding_entry(settings, node.labels)
    if index is not None and settings.node_modes[index].mode is node.own:
        return f"nodeModes of OOMSettings: {selector_text(settings.node_modes[index].selector)}"
    return "mode of the OOMNode"


def patch_of(spec: Raw, action: str, selector: LabelSelector | None) -> dict[str, Any]:
    """Return the fields of `spec` to change.

    With a selector, the first entry of `nodeModes` gets the mode. It replaces an entry with the same selector.
    """
    if action in (SUSPEND, RESUME):
        return {"suspend": action == SUSPEND}
    if selector is None:
        return {"mode": action}
    first = {"nodeSelector": raw_selector(selector), "mode": action}
    others = [each for each in spec.get("nodeModes") or () if _canonical(each["nodeSelector"]) != _canonical(selector)]
    return {"nodeModes": [first, *others]}


def changes(before: OOMSettings, after: OOMSettings, nodes: Sequence[ModeNode]) -> Table:
    """Return a row of each node that has to be in another mode after the change."""
    rows = []
    for each in nodes:
        # The operator changes no mode of an OOMNode that somebody else has set.
        own = node_mode(after, each.labels) if each.own is node_mode(before, each.labels) else each.own
        old, new = effective_mode(before, each.own), effective_mode(after, own)
        if old is not new:
            rows.append((each.name, str(old), str(new)))
    return Table(("NODE", "FROM", "TO"), rows)


def raw_selector(selector: LabelSelector) -> dict[str, Any]:
    """Return the selector as the API has it."""
    single = [each for each in selector.requirements if each.operator is Operator.IN and len(each.values) == 1]
    labels = {each.key: min(each.values) for each in single}
    if len(labels) < len(single):  # two values for one key, which select nothing
        single, labels = [], {}
    others = [_raw_requirement(each) for each in selector.requirements if each not in single]
    return {
        **({"matchLabels": labels} if labels else {}),
        **({"matchExpressions": others} if others else {}),
    }


def _raw_requirement(requirement: Requirement) -> dict[str, Any]:
    values = {"values": sorted(requirement.values)} if requirement.values else {}
    return {"key": requirement.key, "operator": str(requirement.operator), **values}


def selector_text(selector: LabelSelector) -> str:
    """Return the selector as `-l` takes it."""
    return ",".join(map(_requirement_text, selector.requirements)) or "every node"


def _requirement_text(requirement: Requirement) -> str:
    key, values = requirement.key, sorted(requirement.values)
    match requirement.operator:
        case Operator.EXISTS:
            return key
        case Operator.DOES_NOT_EXIST:
            return f"!{key}"
        case Operator.IN if len(values) == 1:
            return f"{key}={values[0]}"
        case operator:
            return f"{key} {operator.lower()} ({', '.join(values)})"


def _canonical(selector: LabelSelector | Raw) -> frozenset[tuple[str, str, frozenset[str]]]:
    """Return a value that is equal for selectors with the same requirements in any form and order."""
    raw = raw_selector(selector) if isinstance(selector, LabelSelector) else selector
    labels = [(key, "In", frozenset({value})) for key, value in (raw.get("matchLabels") or {}).items()]
    expressions = [
        (each["key"], each["operator"], frozenset(each.get("values") or ()))
        for each in raw.get("matchExpressions") or ()
    ]
    return frozenset([*labels, *expressions])

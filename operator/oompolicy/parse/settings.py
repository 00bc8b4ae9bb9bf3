# SPDX-License-Identifier: Apache-2.0
"""Read an OOMSettings object as strictly as a policy: see `oompolicy.parse.policy`."""

from collections.abc import Mapping
from math import ceil
from typing import Any, Final

from oompolicy.model import MAX_PRIORITY, LabelSelector
from oompolicy.oomsettings import (
    MAX_KILLS_PER_MINUTE,
    MAX_NODE_MODES,
    NAME,
    Mode,
    NodeMode,
    OOMSettings,
    TieBreak,
)
from oompolicy.parse.defaults import check_order, read_defaults, read_priority
from oompolicy.parse.fields import Field
from oompolicy.parse.problems import Problem, Report
from oompolicy.parse.resources import read_amount
from oompolicy.parse.selectors import read_selector

_FIELDS: Final = (
    "suspend",
    "mode",
    "nodeModes",
    "discloseOtherNamespaces",
    "tieBreak",
    "minimumVictimMemory",
    "maxKillsPerMinute",
    "hostPriority",
    "defaults",
)
_UNREADABLE: Final = Mode.OFF
"""Stands in for a mode that cannot be read, until the object is refused because of it."""
_MAX_GENERATION: Final = 2**63 - 1


def parse_settings(raw: Mapping[str, Any], *, unknown: list[Problem] | None = None) -> OOMSettings:
    """Return the settings `raw`. Raise `InvalidObject` with all its problems if they are not valid.

    `unknown` is for an object from an API server: the unknown fields are added to it, and the settings are read without
    them. A caller that has read valid settings before keeps those if `raw` is not valid.
    """
    metadata = raw.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    report = Report(f"OOMSettings/{name}" if isinstance(name, str) else "OOMSettings", unknown)
    top = Field(raw, "", report)
    top.known("apiVersion", "kind", "metadata", "spec", "status", required=("metadata", "spec"))
    settings = _settings(top.child("metadata"), top.child("spec"))
    report.refuse_if_any()
    return settings


def _settings(metadata: Field, spec: Field) -> OOMSettings:
    name, generation, uid = (metadata.child(key) for key in ("name", "generation", "uid"))
    if metadata and name.value != NAME:
        name.problem(f"must be {NAME}: there is one OOMSettings per cluster")
    if spec:
        spec.known(*_FIELDS, required=("mode",))
    suspend, mode, node_modes, disclose, tie_break, minimum, kills, host, defaults = map(spec.child, _FIELDS)
    host_priority, read = read_priority(host, MAX_PRIORITY), read_defaults(defaults)
    check_order(defaults, read, host_priority)
    return OOMSettings(
        mode=_mode(mode) if mode else _UNREADABLE,
        suspend=suspend.boolean() if suspend else False,
        node_modes=_node_modes(node_modes) if node_modes else (),
        disclose_other_namespaces=disclose.boolean() if disclose else False,
        tie_break=_tie_break(tie_break) if tie_break else TieBreak.LARGEST_MEMORY,
        minimum_victim_memory=_bytes(minimum) if minimum else 0,
        max_kills_per_minute=kills.integer(0, MAX_KILLS_PER_MINUTE) if kills else 0,
        host_priority=host_priority,
        defaults=read,
        generation=generation.integer(0, _MAX_GENERATION) if generation else 0,
        uid=uid.text() if uid else None,
    )


def _mode(mode: Field) -> Mode:
    text = mode.text()
    if text in list(Mode):
        return Mode(text)
    if isinstance(mode.value, str):
        mode.problem(f"must be one of {', '.join(Mode)}, not {text!r}")
    return _UNREADABLE


def _tie_break(tie_break: Field) -> TieBreak:
    text = tie_break.text()
    if text in list(TieBreak):
        return TieBreak(text)
    if isinstance(tie_break.value, str):
        tie_break.problem(f"must be one of {', '.join(TieBreak)}, not {text!r}")
    return TieBreak.LARGEST_MEMORY


def _bytes(minimum: Field) -> int:
    """Return the whole bytes of a quantity, rounded up as the kubelet rounds memory."""
    return ceil(read_amount(minimum))


def _node_modes(node_modes: Field) -> tuple[NodeMode, ...]:
    # The API server accepts an empty list, which means the same as no list.
    items = [] if node_modes.value == [] else node_modes.items()
    if len(items) > MAX_NODE_MODES:
        node_modes.problem(f"must have at most {MAX_NODE_MODES} entries, not {len(items)}")
    return tuple(map(_node_mode, items))


def _node_mode(item: Field) -> NodeMode:
    item.known("nodeSelector", "mode", required=("nodeSelector", "mode"))
    selector, mode = item.child("nodeSelector"), item.child("mode")
    return NodeMode(
        read_selector(selector) if selector else LabelSelector(),
        _mode(mode) if mode else _UNREADABLE,
    )

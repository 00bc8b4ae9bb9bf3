# SPDX-License-Identifier: Apache-2.0
"""OOMSettings are read strictly, and each problem names its field."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from oompolicy.model import Defaults, LabelSelector, Operator, Requirement
from oompolicy.oomsettings import MAX_NODE_MODES, Mode, NodeMode, OOMSettings
from oompolicy.parse import InvalidObject, parse_settings
from tests.unit.policy.factories import raw_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from oompolicy.parse import Problem

CANARY = {"nodeSelector": {"matchLabels": {"pool": "canary"}}, "mode": "Enforce"}


def problems_of(raw: Mapping[str, Any]) -> list[str]:
    with pytest.raises(InvalidObject) as caught:
        parse_settings(raw)
    return [f"{problem.field}: {problem.message}" for problem in caught.value.problems]


def test_every_field_is_read() -> None:
    """An object with all fields becomes a record with all of its parts."""
    raw = raw_settings(
        {
            "suspend": True,
            "mode": "Audit",
            "nodeModes": [CANARY],
            "discloseOtherNamespaces": True,
            "maxKillsPerMinute": 30,
            "hostPriority": 900,
            "defaults": {
                "nodeCritical": 990,
                "clusterCritical": 940,
                "guaranteed": 700,
                "burstable": 600,
                "bestEffort": 100,
            },
        },
    )
    raw["metadata"] |= {"generation": 3, "uid": "u-1", "managedFields": [{"anything": 1}]}
    raw["status"] = {"whatever": None}

    selector = LabelSelector((Requirement("pool", Operator.IN, frozenset({"canary"})),))
    expected = OOMSettings(
        mode=Mode.AUDIT,
        suspend=True,
        node_modes=(NodeMode(selector, Mode.ENFORCE),),
        disclose_other_namespaces=True,
        max_kills_per_minute=30,
        host_priority=900,
        defaults=Defaults(700, 600, 100, 990, 940),
        generation=3,
        uid="u-1",
    )
    assert expected == parse_settings(raw)


@pytest.mark.parametrize("mode", Mode)
def test_only_the_mode_is_required(mode: Mode) -> None:
    """Without other fields nothing is suspended, no node has a mode of its own, and nothing is disclosed."""
    settings = parse_settings(raw_settings({"mode": str(mode)}))

    assert (mode, False, (), False) == (
        settings.mode,
        settings.suspend,
        settings.node_modes,
        settings.disclose_other_namespaces,
    )


def test_an_empty_list_of_node_modes_means_no_list() -> None:
    """The API server accepts it, and the chart renders it."""
    assert parse_settings(raw_settings({"mode": "Off"})) == parse_settings(
        raw_settings({"mode": "Off", "nodeModes": []})
    )


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, ["spec.mode: is required"]),
        ({"mode": "Warn"}, ["spec.mode: must be one of Enforce, Audit, Off, not 'Warn'"]),
        # YAML 1.1 reads an Off without quotes as false.
        ({"mode": False}, ["spec.mode: must be a string, not a boolean; put it in quotes"]),
        ({"mode": "Off", "suspend": "yes"}, ["spec.suspend: must be a boolean, not a string"]),
        (
            {"mode": "Off", "discloseOtherNamespaces": 1},
            ["spec.discloseOtherNamespaces: must be a boolean, not an integer"],
        ),
        (
            {"mode": "Off", "hostsPriority": 1},
            ["spec.hostsPriority: unknown field; known are suspend, mode, nodeModes, "],
        ),
        ({"mode": "Off", "hostPriority": 1001}, ["spec.hostPriority: must be from 0 to 1000, not 1001"]),
        ({"mode": "Off", "hostPriority": True}, ["spec.hostPriority: must be an integer from 0 to 1000, not a bool"]),
        ({"mode": "Off", "defaults": 800}, ["spec.defaults: must be an object, not an integer"]),
        (
            {"mode": "Off", "defaults": {"bestEffort": -1, "besteffort": 1}},
            [
                "spec.defaults.besteffort: unknown field; known are nodeCritical, ",
                "spec.defaults.bestEffort: must be from 0",
            ],
        ),
        ({"mode": "Off", "nodeModes": {}}, ["spec.nodeModes: must be a list, not an object"]),
        (
            {"mode": "Off", "nodeModes": [{}]},
            ["spec.nodeModes[0].nodeSelector: is required", "spec.nodeModes[0].mode: is required"],
        ),
        (
            {"mode": "Off", "nodeModes": [{**CANARY, "mode": "on"}]},
            ["spec.nodeModes[0].mode: must be one of Enforce, Audit, Off, not 'on'"],
        ),
        (
            {"mode": "Off", "nodeModes": [{**CANARY, "nodeSelector": {"matchLabels": {"a b": "c"}}}]},
            ["spec.nodeModes[0].nodeSelector.matchLabels.a b: 'a b' is not a valid label key"],
        ),
        (
            {"mode": "Off", "nodeModes": [CANARY] * (MAX_NODE_MODES + 1)},
            [f"spec.nodeModes: must have at most {MAX_NODE_MODES} entries, not {MAX_NODE_MODES + 1}"],
        ),
    ],
)
def test_wrong_settings_are_refused(spec: dict[str, Any], expected: list[str]) -> None:
    """The problem names the field and its valid values."""
    problems = problems_of(raw_settings(spec))

    assert expected == [problem[: len(start)] for problem, start in zip(problems, expected, strict=True)]


def test_another_name_is_refused() -> None:
    """There is one object for the cluster, so a second one would have no effect."""
    assert ["metadata.name: must be cluster: there is one OOMSettings per cluster"] == problems_of(
        raw_settings({"mode": "Off"}, name="team-a")
    )


def test_the_fields_of_a_newer_version_are_left_out() -> None:
    """An object from an API server is applied without its unknown fields, and they are returned."""
    unknown: list[Problem] = []
    settings = parse_settings(raw_settings({"mode": "Off", "newField": "x"}), unknown=unknown)

    assert (Mode.OFF, ["spec.newField"]) == (settings.mode, [each.field for each in unknown])


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (
            {"defaults": {"nodeCritical": 999, "clusterCritical": 999}},
            "nodeCritical: must be at least hostPriority, which is 1000",
        ),
        (
            {"hostPriority": 0, "defaults": {"nodeCritical": 999}},
            "nodeCritical: must be at least clusterCritical, which is 1000",
        ),
        ({"defaults": {"clusterCritical": 799}}, "clusterCritical: must be at least 800, the highest of guaranteed, "),
        (
            {"defaults": {"clusterCritical": 900, "burstable": 951}},
            "clusterCritical: must be at least 951, the highest of guaranteed, ",
        ),
        (
            {"defaults": {"clusterCritical": 900, "bestEffort": 951}},
            "clusterCritical: must be at least 951, the highest of guaranteed, ",
        ),
    ],
)
def test_no_default_makes_a_critical_pod_an_earlier_victim(spec: dict[str, Any], expected: str) -> None:
    """The kernel alone kills processes of the host, and pods that are not critical, first."""
    (problem,) = problems_of(raw_settings({"mode": "Off", **spec}))

    assert problem.startswith(f"spec.defaults.{expected}")


def test_equal_defaults_are_allowed() -> None:
    """The kernel then compares memory, as it does without policies. The order of the QoS classes is free."""
    defaults = {"nodeCritical": 500, "clusterCritical": 500, "guaranteed": 1, "burstable": 500, "bestEffort": 500}
    settings = parse_settings(raw_settings({"mode": "Off", "hostPriority": 500, "defaults": defaults}))

    assert Defaults(1, 500, 500, 500, 500) == settings.defaults


def test_the_defaults_that_are_left_out_are_built_in() -> None:
    """This is also so for an API server whose definition of OOMSettings is older."""
    settings = parse_settings(raw_settings({"mode": "Off", "defaults": {"bestEffort": 5}}))

    assert (1000, Defaults(best_effort=5)) == (settings.host_priority, settings.defaults)
    assert (1000, Defaults()) == (OOMSettings(Mode.OFF).host_priority, OOMSettings(Mode.OFF).defaults)

# SPDX-License-Identifier: Apache-2.0
"""The API server refuses OOMSettings that no program could apply, and shows the others in one line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from oompolicy.kube.errors import ApiError
from oompolicy.model import Defaults
from oompolicy.oomsettings import Mode
from oompolicy.parse import InvalidObject, parse_settings
from tests.cluster.test_definitions import condition, rows, write_status
from tests.unit.policy.factories import raw_settings
from vmtest.cache import CHECKOUT

if TYPE_CHECKING:
    from tests.cluster.api import Api
    from tests.cluster.kubectl import Kubectl

CANARY = {"nodeSelector": {"matchLabels": {"pool": "canary"}}, "mode": "Enforce"}
DEFAULTS: dict[str, Any] = {
    "suspend": False,
    "discloseOtherNamespaces": False,
    "tieBreak": "LargestMemory",
    "minimumVictimMemory": "0",
    "maxKillsPerMinute": 0,
    "hostPriority": 1000,
    "defaults": {
        "nodeCritical": 1000,
        "clusterCritical": 1000,
        "guaranteed": 800,
        "burstable": 500,
        "bestEffort": 200,
    },
}
"""The values of the fields that are left out."""
PAGES = [(CHECKOUT / "docs" / name).read_text() for name in ("cookbook.md", "policies.md")]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, "spec.mode: Required value"),
        ({"mode": "Warn"}, 'spec.mode: Unsupported value: "Warn": supported values: '),
        ({"mode": False}, 'spec.mode in body must be of type string: "boolean"'),
        ({"mode": "Off", "suspend": "yes"}, 'spec.suspend in body must be of type boolean: "string"'),
        ({"mode": "Off", "hostsPriority": 1}, "spec.hostsPriority"),
        ({"mode": "Off", "hostPriority": 1001}, "spec.hostPriority in body should be less than or equal to 1000"),
        ({"mode": "Off", "defaults": {"bestEffort": -1}}, "spec.defaults.bestEffort in body should be greater than or"),
        (
            {"mode": "Off", "defaults": {"nodeCritical": 999, "clusterCritical": 999}},
            "spec.defaults.nodeCritical: Invalid value: must be at least hostPriority, which is 1000",
        ),
        (
            {"mode": "Off", "hostPriority": 0, "defaults": {"nodeCritical": 999}},
            "spec.defaults.nodeCritical: Invalid value: must be at least clusterCritical, which is 1000",
        ),
        (
            {"mode": "Off", "defaults": {"clusterCritical": 900, "guaranteed": 951}},
            "spec.defaults.clusterCritical: Invalid value: must be at least 951, the highest of guaranteed, burstable",
        ),
        (
            {"mode": "Off", "maxKillsPerMinute": -1},
            "spec.maxKillsPerMinute in body should be greater than or equal to 0",
        ),
        ({"mode": "Off", "maxKillsPerMinute": 10_001}, "in body should be less than or equal to 10000"),
        ({"mode": "Off", "maxKillsPerMinute": "5"}, "spec.maxKillsPerMinute in body must be of type integer"),
        ({"mode": "Off", "nodeModes": [{"mode": "Off"}]}, "spec.nodeModes[0].nodeSelector: Required value"),
        ({"mode": "Off", "nodeModes": [{"nodeSelector": {}}]}, "spec.nodeModes[0].mode: Required value"),
        ({"mode": "Off", "nodeModes": [{**CANARY, "mode": "on"}]}, "spec.nodeModes[0].mode: Unsupported value"),
        ({"mode": "Off", "nodeModes": [CANARY] * 17}, "spec.nodeModes: Too many: 17: must have at most 16 items"),
        (
            {"mode": "Off", "nodeModes": [{**CANARY, "nodeSelector": {"matchLabels": {"a b": "c"}}}]},
            "'a b' is not a valid label key",
        ),
        (
            {"mode": "Off", "nodeModes": [{**CANARY, "nodeSelector": {"matchLabels": {"pool": None}}}]},
            "spec.nodeModes[0].nodeSelector.matchLabels: Invalid value: the label 'pool' has no value",
        ),
        (
            {"mode": "Off", "nodeModes": [{**CANARY, "nodeSelector": {"matchLabels": {}}}]},
            "spec.nodeModes[0].nodeSelector.matchLabels: Invalid value: must not be empty: leave the field out",
        ),
    ],
)
def test_wrong_settings_are_refused(api: Api, spec: dict[str, Any], expected: str) -> None:
    """The message names the field and its valid values."""
    with pytest.raises(ApiError) as refused:
        api.create(raw_settings(spec), dryRun="All", fieldValidation="Strict")

    assert expected in refused.value.message


def test_a_second_object_is_refused(api: Api) -> None:
    """It would have no effect, so the message gives the only name."""
    api.create(raw_settings({"mode": "Audit"}))
    with pytest.raises(ApiError) as refused:
        api.create(raw_settings({"mode": "Off"}, name="team-a"))

    assert (
        "metadata.name: Invalid value: must be cluster: there is one OOMSettings per cluster" in refused.value.message
    )
    assert ["cluster"] == [each["metadata"]["name"] for each in api.list("OOMSettings")]


@pytest.mark.parametrize("mode", Mode)
def test_accepted_settings_can_be_parsed(api: Api, mode: Mode) -> None:
    """The stored object shows the values of the fields that were left out."""
    stored = api.create(raw_settings({"mode": str(mode), "nodeModes": [CANARY]}), dryRun="All")

    assert {"mode": mode, "nodeModes": [CANARY], **DEFAULTS} == stored["spec"]
    assert mode is parse_settings(stored).mode


def test_one_line_shows_the_settings_and_their_effect(api: Api, kubectl: Kubectl) -> None:
    """A new object has no counts until the operator has written them."""
    api.create(raw_settings({"mode": "Audit"}))
    header, new = rows(kubectl("get", "ooms"))
    assert ["NAME", "MODE", "SUSPENDED", "ENFORCE", "AUDIT", "OFF", "AGE"] == header
    assert ["cluster", "Audit", "false"] == new[:-1]

    counts = {"nodesByMode": {"Enforce": 1, "Audit": 12, "Off": 0, "Unknown": 2}, "nodesByBackend": {"ObserveOnly": 13}}
    written = write_status(api, "OOMSettings", "cluster", {**counts, "conditions": [condition("Ready", "True")]})
    kubectl("patch", "ooms", "cluster", "--type", "merge", "-p", '{"spec":{"suspend":true}}')
    _, seen = rows(kubectl("get", "ooms"))
    assert ["cluster", "Audit", "true", "1", "12", "0"] == seen[:-1]
    assert counts.items() <= written["status"].items()


def test_a_node_takes_a_mode_of_its_own(api: Api) -> None:
    """An unknown mode is refused, and an OOMNode without a spec is valid."""
    api.create({"apiVersion": "oompolicy.dev/v1alpha1", "kind": "OOMNode", "metadata": {"name": "n1"}})
    patched = api.patch("OOMNode", "n1", {"spec": {"mode": "Off"}})
    with pytest.raises(ApiError, match=r"spec\.mode: Unsupported value"):
        api.patch("OOMNode", "n1", {"spec": {"mode": "Sometimes"}})

    assert {"mode": "Off"} == patched["spec"]


def test_the_settings_are_explained(kubectl: Kubectl) -> None:
    """`kubectl explain` describes each mode and the kill switch."""
    explained = " ".join(kubectl("explain", "ooms.spec").split())

    assert "Audit: the kernel chooses the victim, and the node reports the choice of the policies." in explained
    assert "The kill switch." in explained


@pytest.mark.parametrize(("value", "parsed"), [("64Mi", 64 << 20), (1000, 1000), ("0.5Gi", 1 << 29), ("0", 0)])
def test_the_minimum_is_a_quantity(api: Api, value: object, parsed: int) -> None:
    """API server and agent read the same quantities."""
    stored = api.create(raw_settings({"mode": "Off", "minimumVictimMemory": value}), dryRun="All")

    assert parsed == parse_settings(stored).minimum_victim_memory


@pytest.mark.parametrize("value", ["-1", -1, "lots", "64 Mi", ""])
def test_a_minimum_that_is_no_quantity_is_refused(api: Api, value: object) -> None:
    """The sentence has an example."""
    with pytest.raises(ApiError) as refused:
        api.create(raw_settings({"mode": "Off", "minimumVictimMemory": value}), dryRun="All")

    assert "must be a quantity of bytes, for example 64Mi, and not negative" in refused.value.message


def test_api_server_and_parser_refuse_a_default_with_the_same_sentence(api: Api) -> None:
    """A file that `oompolicy lint` accepts is one that the API server accepts."""
    for spec in (
        {"defaults": {"nodeCritical": 999, "clusterCritical": 999}},
        {"hostPriority": 0, "defaults": {"nodeCritical": 999}},
        {"defaults": {"clusterCritical": 900, "bestEffort": 951}},
    ):
        raw = raw_settings({"mode": "Off", **spec})
        with pytest.raises(InvalidObject) as found:
            parse_settings(raw)
        with pytest.raises(ApiError) as refused:
            api.create(raw, dryRun="All")

        (problem,) = found.value.problems
        assert problem.message in refused.value.message


def test_objects_without_priorities_have_the_built_in_ones(api: Api) -> None:
    """An object of a version without these fields is read with them. A part of the defaults can be given."""
    stored = api.create(raw_settings({"mode": "Off", "defaults": {"bestEffort": 5}}), dryRun="All")

    assert {**DEFAULTS["defaults"], "bestEffort": 5} == stored["spec"]["defaults"]
    assert Defaults(best_effort=5) == parse_settings(stored).defaults


def test_the_documented_commands_change_the_priorities(api: Api, kubectl: Kubectl) -> None:
    """A merge patch of one default keeps the others."""
    api.create(raw_settings({"mode": "Audit"}))
    for patch in ('{"spec":{"hostPriority":900}}', '{"spec":{"defaults":{"bestEffort":100}}}'):
        assert any(f"kubectl patch ooms cluster --type merge --patch '{patch}'" in page for page in PAGES)
        kubectl("patch", "ooms", "cluster", "--type", "merge", "--patch", patch)
    settings = parse_settings(api.get("OOMSettings", "cluster"))

    assert (900, Defaults(best_effort=100)) == (settings.host_priority, settings.defaults)

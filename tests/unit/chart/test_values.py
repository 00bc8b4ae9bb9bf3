# SPDX-License-Identifier: Apache-2.0
"""Values, schema, dashboard and version of the chart agree with each other and with the rest of the repository."""

from __future__ import annotations

import itertools
import json
import re
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from oompolicy.controller.metrics import Metrics as OperatorMetrics
from oompolicy.model import MAX_PRECEDENCE, MAX_PRIORITY
from oompolicy.oomsettings import MAX_KILLS_PER_MINUTE, MAX_NODE_MODES, Mode
from oompolicy.parse import parse_settings
from oompolicy_agent.kernel.layout import HOST_PRIORITY
from oompolicy_agent.status.counters import Counters
from oompolicy_agent.status.metrics import Metrics as AgentMetrics
from tests.unit.agent.status.test_document import GOOD
from tests.unit.policy.factories import raw_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = Path(__file__).parents[3]
CHART = CHECKOUT / "charts/oompolicy"
VALUES_TEXT = (CHART / "values.yaml").read_text()
VALUES: dict[str, Any] = yaml.safe_load(VALUES_TEXT)
SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
# Helm defines these keys.
NOT_OURS = {"global"}
MOVED = ("/hook", "hostPriority")
"""The key that the schema accepts, so that a template can say where it is now."""


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    return SCHEMA["$defs"][schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema


def keys(values: dict[str, Any], schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, set[str], set[str]]]:
    """Yield path, keys in the values, and keys in the schema, for each map with keys of the chart's own."""
    properties = resolved(schema).get("properties")
    if properties is None or "$ref" in schema:
        return
    yield path, set(values), set(properties) - NOT_OURS
    for name, value in values.items():
        if isinstance(value, dict):
            yield from keys(value, properties[name], f"{path}/{name}")


@pytest.mark.parametrize(
    ("path", "in_values", "in_schema"),
    list(keys(VALUES, SCHEMA)),
    ids=[path or "/" for path, _, _ in keys(VALUES, SCHEMA)],
)
def test_each_key_is_in_values_and_in_the_schema(path: str, in_values: set[str], in_schema: set[str]) -> None:
    """A key missing in the values is not documented, and a key missing in the schema cannot be set."""
    assert in_schema - {name for place, name in (MOVED,) if place == path} == in_values, path


def maps(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:  # noqa: ANN401 - JSON
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            yield path, schema
        for name, value in schema.items():
            yield from maps(value, f"{path}/{name}")


def test_no_map_takes_unknown_keys() -> None:
    """Exceptions are the maps of Helm and of the API server."""
    open_maps = {path for path, schema in maps(SCHEMA) if schema.get("additionalProperties", True) is True}
    affinity = {f"/$defs/affinity/properties/{name}" for name in ("nodeAffinity", "podAffinity", "podAntiAffinity")}
    from_ = "/properties/networkPolicy/properties/from/items/properties"
    peers = {f"{from_}/{name}" for name in ("ipBlock", "namespaceSelector", "podSelector")}

    assert {"/properties/global", "/$defs/env/items/properties/valueFrom", *affinity, *peers} == open_maps


def test_each_value_has_a_comment() -> None:
    """The comment is above the value. Keys of Kubernetes need none."""
    lines = VALUES_TEXT.splitlines()
    of_kubernetes = re.compile(r"^\s+(cpu|memory|limits|grafana_dashboard|- operator)\b")
    bare = [
        line.strip()
        for before, line in itertools.pairwise(lines)
        if re.match(r"^\s*[\w-]+:|^\s*- \w+:", line)
        and not of_kubernetes.match(line)
        and not before.strip().startswith("#")
    ]

    assert [] == bare


def test_limits_are_those_of_the_policy_model() -> None:
    """The API server accepts each value that the schema accepts."""
    policy, settings = (SCHEMA["properties"][name]["properties"] for name in ("policy", "settings"))

    assert (MAX_PRECEDENCE, MAX_PRIORITY, MAX_PRIORITY, MAX_KILLS_PER_MINUTE) == (
        policy["precedence"]["maximum"],
        policy["priority"]["maximum"],
        SCHEMA["$defs"]["priority"]["maximum"],
        settings["maxKillsPerMinute"]["maximum"],
    )


def test_the_settings_begin_with_the_built_in_priorities() -> None:
    """A program that knows no OOMSettings uses the same."""
    names = ("maxKillsPerMinute", "hostPriority", "defaults")
    raw = raw_settings({"mode": "Audit", **{name: VALUES["settings"][name] for name in names}})

    assert parse_settings(raw_settings({"mode": "Audit"})) == parse_settings(raw)
    assert HOST_PRIORITY == VALUES["settings"]["hostPriority"]


def test_modes_are_those_of_the_settings() -> None:
    """The API server does not refuse a value that the schema accepts."""
    assert list(Mode) == SCHEMA["$defs"]["mode"]["enum"]
    assert MAX_NODE_MODES == SCHEMA["properties"]["settings"]["properties"]["nodeModes"]["maxItems"]
    assert VALUES["settings"]["mode"] in list(Mode)


def test_the_charts_versions_are_the_projects() -> None:
    """The images have this version as their tag."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())

    assert {project["version"]} == {chart["version"], chart["appVersion"]}


def test_definitions_and_rules_are_linked_and_not_copied() -> None:
    """Each of them is in one place."""
    assert ("../../crds", "../../deploy") == tuple(str((CHART / name).readlink()) for name in ("crds", "deploy"))


def test_the_dashboard_shows_existing_metrics() -> None:
    """They are in the registries of operator and agent."""
    operator = {each.name for each in OperatorMetrics().registry.collect()}
    agent = {each.name for each in AgentMetrics(Counters(), lambda: GOOD, dict).collect()}
    dashboard = json.loads((CHART / "files/dashboard.json").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    shown = {name for each in expressions for name in re.findall(r"oompolicy_[a-z_]+", each)}
    families = {re.sub(r"_(total|bucket)$", "", name) for name in shown}

    assert len(shown) > 20
    assert set() == families - operator - agent

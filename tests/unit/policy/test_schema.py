# SPDX-License-Identifier: Apache-2.0
"""The schemas have the ranges of the records, and bound the lists that their rules read."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from oompolicy.api import API_VERSION
from oompolicy.model import (
    DEFAULT_PRECEDENCE,
    MAX_OFFSET,
    MAX_PRECEDENCE,
    MAX_PRIORITY,
    MIN_OFFSET,
    MIN_PRECEDENCE,
    MIN_PRIORITY,
    KillScope,
    Operator,
    QOSClass,
)
from oompolicy.oomsettings import MAX_NODE_MODES, Mode
from oompolicy.parse import parse_settings
from oompolicy_agent.status.reasons import Scope
from tests.unit.policy.factories import raw_settings

CRDS = Path(__file__).parents[3] / "crds"
FILES = sorted(CRDS.iterdir())


def load(file: Path) -> dict[str, Any]:
    crd: dict[str, Any] = yaml.safe_load(file.read_text())
    return crd


def schema_of(crd: dict[str, Any]) -> dict[str, Any]:
    (version,) = crd["spec"]["versions"]
    schema: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    return schema


@pytest.fixture(scope="module")
def spec() -> dict[str, Any]:
    schema: dict[str, Any] = schema_of(load(CRDS / "oompolicy.dev_oompolicies.yaml"))["properties"]["spec"]
    return schema


def field(schema: dict[str, Any], path: str) -> dict[str, Any]:
    for name in path.split("."):
        schema = schema["items"] if name == "[]" else schema["properties"][name]
    return schema


def walk(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every schema within a schema, with its path."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from walk(child, f"{path}.{name}")
    for name in ("items", "additionalProperties"):
        if name in schema:
            yield from walk(schema[name], f"{path}.{name}")


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_kubectl_explain_describes_every_field(file: Path) -> None:
    """The API server itself describes apiVersion, kind and metadata, and refuses other descriptions of metadata.

    A rule of OOMSettings needs the name in metadata, which the API server describes too.
    """
    schema = schema_of(load(file))
    bare = [
        f"{path}.{name}"
        for path, each in walk(schema)
        for name, child in each.get("properties", {}).items()
        if "description" not in child
    ]

    assert [".apiVersion", ".kind", ".metadata"] == [path for path in bare if path != ".metadata.name"]


@pytest.mark.parametrize(
    ("path", "low", "high"),
    [
        ("precedence", MIN_PRECEDENCE, MAX_PRECEDENCE),
        ("priority.value", MIN_PRIORITY, MAX_PRIORITY),
        ("priority.byQOSClass.guaranteed", MIN_PRIORITY, MAX_PRIORITY),
        ("priority.byQOSClass.burstable", MIN_PRIORITY, MAX_PRIORITY),
        ("priority.byQOSClass.bestEffort", MIN_PRIORITY, MAX_PRIORITY),
        ("override.min", MIN_PRIORITY, MAX_PRIORITY),
        ("override.max", MIN_PRIORITY, MAX_PRIORITY),
        ("containers.[].offset", MIN_OFFSET, MAX_OFFSET),
    ],
)
def test_a_range_is_that_of_the_records(spec: dict[str, Any], path: str, low: int, high: int) -> None:
    """The schema and the parser have the same bounds, both included."""
    schema = field(spec, path)

    assert (low, high) == (schema["minimum"], schema["maximum"])


def test_a_priority_class_has_the_range_of_the_records(spec: dict[str, Any]) -> None:
    """The name of the container does not matter."""
    values = field(spec, "priority.byPriorityClass")["additionalProperties"]

    assert (MIN_PRIORITY, MAX_PRIORITY) == (values["minimum"], values["maximum"])


def test_an_offset_is_checked_against_the_range_of_priorities(spec: dict[str, Any]) -> None:
    """Each rule on offsets contains its bounds and names them in its message."""
    rules = [rule for rule in spec["x-kubernetes-validations"] if rule["fieldPath"] == ".containers"]

    assert 5 == len(rules)
    for rule in rules:
        assert f"c.offset >= {MIN_PRIORITY} " in rule["rule"]
        assert f"c.offset <= {MAX_PRIORITY}" in rule["rule"]
        assert f"outside {MIN_PRIORITY}..{MAX_PRIORITY}" in rule["messageExpression"]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("match.qosClasses.[]", list(QOSClass)),
        ("killScope", list(KillScope)),
        ("match.podSelector.matchExpressions.[].operator", list(Operator)),
        ("match.namespaceSelector.matchExpressions.[].operator", list(Operator)),
    ],
)
def test_a_choice_has_the_words_of_the_records(spec: dict[str, Any], path: str, words: list[str]) -> None:
    """The schema and the program spell each word in the same way."""
    assert words == field(spec, path)["enum"]


def test_a_victim_may_have_any_scope_that_an_agent_reports() -> None:
    """The API server would refuse the whole status of a node because of one unknown word."""
    status = schema_of(load(CRDS / "oompolicy.dev_oomnodes.yaml"))["properties"]["status"]

    assert sorted(get_args(Scope)) == sorted(field(status, "lastVictims.[].scope")["enum"])


@pytest.fixture(scope="module")
def settings() -> dict[str, Any]:
    schema: dict[str, Any] = schema_of(load(CRDS / "oompolicy.dev_oomsettings.yaml"))["properties"]["spec"]
    return schema


def test_settings_and_nodes_have_the_modes_of_the_records(settings: dict[str, Any]) -> None:
    """The schema and the program spell each mode in the same way."""
    node = schema_of(load(CRDS / "oompolicy.dev_oomnodes.yaml"))
    found = [field(settings, "mode"), field(settings, "nodeModes.[].mode")]
    found += [field(node, "spec.mode"), field(node, "status.mode")]

    assert [list(Mode)] * 4 == [each["enum"] for each in found]


def test_settings_have_as_many_entries_as_the_parser_takes(settings: dict[str, Any]) -> None:
    """The schema and the parser have the same limit."""
    assert MAX_NODE_MODES == field(settings, "nodeModes")["maxItems"]


def test_a_node_selector_has_the_rules_of_the_selectors_of_a_policy(
    settings: dict[str, Any], spec: dict[str, Any]
) -> None:
    """One parser reads both, so the API server must refuse the same selectors in both, except for the longest ones."""
    of_policy, of_settings = (
        copy.deepcopy(each["properties"])
        for each in (field(spec, "match.podSelector"), field(settings, "nodeModes.[].nodeSelector"))
    )
    for selector, limit in ((of_policy, 32), (of_settings, 16)):
        assert limit == selector["matchLabels"].pop("maxProperties") == selector["matchExpressions"].pop("maxItems")

    assert of_policy == of_settings


def test_each_field_of_the_settings_is_described(settings: dict[str, Any]) -> None:
    """`kubectl explain` shows a sentence for each field, except within a label selector."""
    bare = [
        path
        for path, schema in walk(settings)
        if "matchExpressions" not in path and "matchLabels" not in path and "description" not in schema
    ]
    assert [] == bare


def test_a_missing_precedence_has_the_same_meaning_in_both(spec: dict[str, Any]) -> None:
    """The API server fills in the same defaults that the parser uses."""
    assert DEFAULT_PRECEDENCE == field(spec, "precedence")["default"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_definition_has_its_own_name(file: Path) -> None:
    """Operator and agent use the same group and version."""
    crd = load(file)["spec"]

    assert API_VERSION == f"{crd['group']}/{crd['versions'][0]['name']}"
    assert f"{crd['group']}_{crd['names']['plural']}.yaml" == file.name


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_everything_is_bounded(file: Path) -> None:
    """The API server refuses rules over unbounded lists, and etcd has to hold bounded ones."""
    unbounded = [
        path
        for path, schema in walk({"properties": schema_of(load(file))["properties"]})
        if path.count(".") > 1
        and (
            (schema.get("type") == "array" and "maxItems" not in schema)
            or ("additionalProperties" in schema and "maxProperties" not in schema)
            # A field without a type is a number or a string.
            or (schema.get("type", "string") == "string" and not {"maxLength", "enum", "format"} & schema.keys())
        )
    ]
    assert [] == unbounded


def test_the_settings_have_the_built_in_defaults() -> None:
    """A field that is left out means the same to API server and parser."""
    settings = schema_of(load(CRDS / "oompolicy.dev_oomsettings.yaml"))["properties"]["spec"]
    built_in = parse_settings(raw_settings({"mode": "Off"}))
    classes = field(settings, "defaults")["properties"]
    given = {name: schema["default"] for name, schema in classes.items()}

    assert built_in == parse_settings(raw_settings({"mode": "Off", "defaults": given}))
    assert 5 == len(given)
    assert built_in.host_priority == field(settings, "hostPriority")["default"]
    for schema in (*classes.values(), field(settings, "hostPriority")):
        assert (MIN_PRIORITY, MAX_PRIORITY) == (schema["minimum"], schema["maximum"])

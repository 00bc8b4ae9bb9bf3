# SPDX-License-Identifier: Apache-2.0
"""Which OOMPolicies are read, and what is said about the others."""

from typing import Any

import pytest

from oompolicy.model import (
    ByPriorityClass,
    ByQOSClass,
    ContainerOffset,
    FixedPriority,
    LabelSelector,
    Match,
    OOMPolicy,
    Operator,
    Override,
    QOSClass,
    Requirement,
)
from oompolicy.parse import InvalidObject, Problem, parse_policy
from tests.unit.policy.factories import raw_policy

VALUE = {"value": 900}


def problems_of(spec: dict[str, Any]) -> list[str]:
    with pytest.raises(InvalidObject) as caught:
        parse_policy(raw_policy(spec))
    return [f"{problem.field}: {problem.message}" for problem in caught.value.problems]


def test_every_field_of_the_design_is_read() -> None:
    """The example of the design becomes a record with all of its parts."""
    raw = raw_policy(
        {
            "precedence": 100,
            "match": {
                "namespaceSelector": {"matchLabels": {"tier": "prod"}},
                "podSelector": {
                    "matchExpressions": [{"key": "app", "operator": "In", "values": ["postgres", "redis"]}]
                },
                "qosClasses": ["Guaranteed", "Burstable"],
                "priorityClassNames": ["critical"],
            },
            "priority": {"value": 900},
            "containers": [{"name": "istio-proxy", "offset": 50}],
            "override": {"min": 300, "max": 700},
        }
    )
    raw["metadata"] |= {"generation": 3, "uid": "u-1", "managedFields": [{"anything": 1}]}
    raw["status"] = {"observedGeneration": 3, "whatever": None}

    expected = OOMPolicy(
        name="databases",
        generation=3,
        uid="u-1",
        precedence=100,
        match=Match(
            LabelSelector((Requirement("tier", Operator.IN, frozenset({"prod"})),)),
            LabelSelector((Requirement("app", Operator.IN, frozenset({"postgres", "redis"})),)),
            frozenset({QOSClass.GUARANTEED, QOSClass.BURSTABLE}),
            frozenset({"critical"}),
        ),
        priority=FixedPriority(900),
        containers=(ContainerOffset("istio-proxy", 50),),
        override=Override(300, 700),
    )
    assert expected == parse_policy(raw)


def test_only_the_priority_must_be_given() -> None:
    """Without anything else a policy matches every pod, with the lowest precedence and no override."""
    policy = parse_policy(raw_policy({"priority": VALUE}))

    assert OOMPolicy("databases", 0, None, 0, Match(), FixedPriority(900)) == policy


@pytest.mark.parametrize(
    ("priority", "expected"),
    [
        ({"byQOSClass": {"guaranteed": 800, "bestEffort": 0}}, ByQOSClass(800, None, 0)),
        ({"byPriorityClass": {"critical": 900, "default": 400}}, ByPriorityClass({"critical": 900}, 400)),
        ({"byPriorityClass": {"critical": 900}}, ByPriorityClass({"critical": 900}, None)),
        ({"byPriorityClass": {"default": 1000}}, ByPriorityClass({}, 1000)),
    ],
)
def test_classes_may_be_named_in_part(priority: dict[str, Any], expected: object) -> None:
    """A class without a value is left to the built-in default."""
    assert expected == parse_policy(raw_policy({"priority": priority})).priority


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({}, "spec.priority: is required"),
        ({"priority": VALUE, "precedense": 1}, "spec.precedense: unknown field; known are precedence, match"),
        ({"priority": VALUE, "precedence": -1}, "spec.precedence: must be from 0 to 1000000, not -1"),
        ({"priority": VALUE, "precedence": 1_000_001}, "spec.precedence: must be from 0 to 1000000, not 1000001"),
        ({"priority": VALUE, "precedence": True}, "spec.precedence: must be an integer from 0 to 1000000, not a boo"),
        ({"priority": VALUE, "precedence": "1"}, "spec.precedence: must be an integer from 0 to 1000000, not a string"),
        ({"priority": None}, "spec.priority: must be an object, not null"),
        ({"priority": {}}, "spec.priority: must have exactly one of value, byQOSClass, byPriorityClass; has none"),
        ({"priority": {**VALUE, "byQOSClass": {"burstable": 1}}}, "spec.priority: must have exactly one of value"),
        ({"priority": {"value": 1001}}, "spec.priority.value: must be from 0 to 1000, not 1001"),
        ({"priority": {"value": -1}}, "spec.priority.value: must be from 0 to 1000, not -1"),
        ({"priority": {"value": 9.0}}, "spec.priority.value: must be an integer from 0 to 1000, not a number"),
        ({"priority": {"byQOSClass": {}}}, "spec.priority.byQOSClass: must have at least one of guaranteed, burstable"),
        ({"priority": {"byQOSClass": {"Burstable": 1}}}, "spec.priority.byQOSClass.Burstable: unknown field"),
        ({"priority": {"byQOSClass": {"burstable": 1001}}}, "spec.priority.byQOSClass.burstable: must be from 0 to"),
        ({"priority": {"byPriorityClass": {}}}, "spec.priority.byPriorityClass: must name at least one PriorityClass"),
        ({"priority": {"byPriorityClass": {"A_b": 1}}}, "spec.priority.byPriorityClass: 'A_b' must be 1 to 253"),
        ({"priority": {"byPriorityClass": {"a": "1"}}}, "spec.priority.byPriorityClass.a: must be an integer from 0"),
    ],
)
def test_a_wrong_priority_is_refused(spec: dict[str, Any], expected: str) -> None:
    """The problem names the field and what it must be."""
    problems = problems_of(spec)

    assert [expected] == [problem[: len(expected)] for problem in problems]


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        ([], "spec.match: must be an object, not a list"),
        ({"pods": {}}, "spec.match.pods: unknown field; known are namespaceSelector, podSelector, qosClasses"),
        ({"podSelector": None}, "spec.match.podSelector: must be an object, not null"),
        ({"podSelector": {"app": "a"}}, "spec.match.podSelector.app: unknown field; known are matchLabels"),
        ({"podSelector": {"matchLabels": {"app": 1}}}, "spec.match.podSelector.matchLabels.app: must be a string"),
        ({"podSelector": {"matchLabels": {1: "a"}}}, "spec.match.podSelector.matchLabels: the key 1 must be a string"),
        ({"podSelector": {"matchLabels": {"a/b/c": "d"}}}, "spec.match.podSelector.matchLabels[a/b/c]: 'a/b/c' is no"),
        ({"podSelector": {"matchLabels": {"-a": "d"}}}, "spec.match.podSelector.matchLabels.-a: '-a' is no label key"),
        ({"podSelector": {"matchLabels": {"a": "d\n"}}}, "spec.match.podSelector.matchLabels.a: 'd\\n' is no label va"),
        ({"podSelector": {"matchLabels": {"a": "x" * 64}}}, "spec.match.podSelector.matchLabels.a: 'xxx"),
        ({"qosClasses": []}, "spec.match.qosClasses: must not be empty: leave the field out"),
        ({"qosClasses": ["burstable"]}, "spec.match.qosClasses[0]: must be one of Guaranteed, Burstable, BestEffort"),
        ({"qosClasses": "Burstable"}, "spec.match.qosClasses: must be a list, not a string"),
        ({"priorityClassNames": []}, "spec.match.priorityClassNames: must not be empty: leave the field out"),
        ({"priorityClassNames": ["A"]}, "spec.match.priorityClassNames[0]: 'A' must be 1 to 253 lower-case letters"),
        ({"priorityClassNames": [7]}, "spec.match.priorityClassNames[0]: must be a string, not an integer; put it in"),
    ],
)
def test_a_wrong_match_is_refused(match: object, expected: str) -> None:
    """The problem names the field and what it must be."""
    problems = problems_of({"priority": VALUE, "match": match})

    assert [expected] == [problem[: len(expected)] for problem in problems]


@pytest.mark.parametrize(
    ("requirement", "expected"),
    [
        ({"key": "a", "operator": "in", "values": ["b"]}, ".operator: must be one of In, NotIn, Exists, DoesNotExist"),
        ({"key": "a", "operator": "In"}, ".values: is required with operator In"),
        ({"key": "a", "operator": "NotIn", "values": []}, ".values: must not be empty"),
        ({"key": "a", "operator": "Exists", "values": ["b"]}, ".values: must not be given with operator Exists"),
        ({"key": "a", "operator": "In", "values": ["-"]}, ".values[0]: '-' is no label value"),
        ({"operator": "Exists"}, ".key: is required"),
        ({"key": "a"}, ".operator: is required"),
        ({"key": "a b", "operator": "Exists"}, ".key: 'a b' is no label key"),
        ({"key": "A_/b", "operator": "Exists"}, ".key: 'A_/b' is no label key: what stands before the '/'"),
    ],
)
def test_a_wrong_requirement_is_refused(requirement: dict[str, Any], expected: str) -> None:
    """The rules for operators and values are those of Kubernetes."""
    problems = problems_of({"priority": VALUE, "match": {"podSelector": {"matchExpressions": [requirement]}}})

    path = "spec.match.podSelector.matchExpressions[0]"
    assert [path + expected] == [problem[: len(path + expected)] for problem in problems]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"containers": []}, "spec.containers: must not be empty: leave the field out"),
        ({"containers": [{"name": "a"}]}, "spec.containers[0].offset: is required"),
        ({"containers": [{"offset": 1}]}, "spec.containers[0].name: is required"),
        ({"containers": [{"name": "A", "offset": 1}]}, "spec.containers[0].name: 'A' must be 1 to 63 lower-case"),
        ({"containers": [{"name": "a", "offset": -1001}]}, "spec.containers[0].offset: must be from -1000 to 1000"),
        ({"containers": [{"name": "a", "offset": 1}] * 2}, "spec.containers[1].name: 'a' is named twice"),
        ({"override": {"min": 1}}, "spec.override.max: is required"),
        ({"override": {"min": 2, "max": 1}}, "spec.override: min 2 is above max 1"),
        ({"override": {"min": 0, "max": 1001}}, "spec.override.max: must be from 0 to 1000, not 1001"),
        ({"override": {"min": 0, "max": 1, "step": 1}}, "spec.override.step: unknown field; known are min, max"),
    ],
)
def test_wrong_offsets_and_overrides_are_refused(spec: dict[str, Any], expected: str) -> None:
    """The problem names the field and what it must be."""
    problems = problems_of({"priority": VALUE, **spec})

    assert [expected] == [problem[: len(expected)] for problem in problems]


@pytest.mark.parametrize(
    ("priority", "offset", "expected"),
    [
        ({"value": 980}, 50, "+50 to spec.priority.value 980 makes 1030, outside 0..1000"),
        ({"byQOSClass": {"bestEffort": 10}}, -50, "-50 to spec.priority.byQOSClass.bestEffort 10 makes -40, outside"),
        ({"byPriorityClass": {"a": 500, "b": 980}}, 50, "+50 to spec.priority.byPriorityClass.b 980 makes 1030"),
        ({"byPriorityClass": {"default": 980}}, 50, "+50 to spec.priority.byPriorityClass.default 980 makes 1030"),
    ],
)
def test_an_offset_that_leaves_the_range_is_refused(priority: dict[str, Any], offset: int, expected: str) -> None:
    """Whatever the policy names itself is checked when it is read, so nothing is clamped later."""
    problems = problems_of({"priority": priority, "containers": [{"name": "a", "offset": offset}]})

    expected = f"spec.containers[0].offset: {expected}"
    assert [expected] == [problem[: len(expected)] for problem in problems]


def test_all_problems_are_told_at_once() -> None:
    """Whoever writes a policy need not find its problems one by one."""
    problems = problems_of({"precedence": "high", "priority": {"value": 2000}, "override": {}, "extra": 1})

    fields = [problem.partition(":")[0] for problem in problems]
    assert ["spec.extra", "spec.precedence", "spec.priority.value", "spec.override.min", "spec.override.max"] == fields


@pytest.mark.parametrize("part", ["metadata", "spec"])
def test_an_object_without_its_halves_is_refused(part: str) -> None:
    """A missing half is one problem, not one for each of its fields."""
    raw = raw_policy({"priority": VALUE})
    del raw[part]

    with pytest.raises(InvalidObject) as caught:
        parse_policy(raw)
    assert [(part, "is required")] == [(each.field, each.message) for each in caught.value.problems]


@pytest.mark.parametrize(("name", "field"), [("Databases", "metadata.name"), ("a..b", "metadata.name")])
def test_a_name_must_be_one_the_api_server_takes(name: str, field: str) -> None:
    """A policy's name is a DNS subdomain, like that of any cluster-scoped object."""
    with pytest.raises(InvalidObject) as caught:
        parse_policy(raw_policy({"priority": VALUE}, name=name))

    assert [field] == [each.field for each in caught.value.problems]


def test_a_problem_reads_as_one_line() -> None:
    """File, object and field come first, and what is not known is left out."""
    problem = Problem("a.yaml", "OOMPolicy/databases", "spec.priority.value", "must be from 0 to 1000, not 1001")

    assert "a.yaml: OOMPolicy/databases: spec.priority.value: must be from 0 to 1000, not 1001" == str(problem)
    assert "b.yaml: cannot be read" == str(Problem("b.yaml", "", "", "cannot be read"))

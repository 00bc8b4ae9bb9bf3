# SPDX-License-Identifier: Apache-2.0
"""Valid OOMPolicies are read, and each mistake in another one is reported with its field."""

from collections.abc import Mapping
from typing import Any

import pytest

from oompolicy.model import (
    ByPriorityClass,
    ByQOSClass,
    ContainerOffset,
    FixedPriority,
    KillScope,
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
from tests.unit.policy.invalid import INVALID, Invalid

VALUE = {"value": 900}


def problems_of(spec: Mapping[str, Any]) -> list[str]:
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
            "killScope": "Pod",
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
        kill_scope=KillScope.POD,
    )
    assert expected == parse_policy(raw)


def test_only_the_priority_must_be_given() -> None:
    """Without anything else a policy matches every pod, with the lowest precedence and no override."""
    policy = parse_policy(raw_policy({"priority": VALUE}))

    assert OOMPolicy("databases", 0, None, 0, Match(), FixedPriority(900)) == policy
    assert policy.kill_scope is None


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


@pytest.mark.parametrize("invalid", INVALID, ids=lambda invalid: invalid.parser)
def test_a_wrong_policy_is_refused(invalid: Invalid) -> None:
    """The problem has the field and its valid values, and nothing is clamped later."""
    problems = problems_of(invalid.spec)

    assert [invalid.parser] == [problem[: len(invalid.parser)] for problem in problems]


def test_all_problems_are_reported_at_once() -> None:
    """A policy with several mistakes has one message for each."""
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
def test_a_name_must_be_valid_for_the_api_server(name: str, field: str) -> None:
    """A policy's name is a DNS subdomain, like that of any cluster-scoped object."""
    with pytest.raises(InvalidObject) as caught:
        parse_policy(raw_policy({"priority": VALUE}, name=name))

    assert [field] == [each.field for each in caught.value.problems]


def test_an_unknown_field_of_an_api_servers_object_is_reported_beside_the_policy() -> None:
    """This holds at each depth. In a file such a field is a typing error and is refused."""
    raw = raw_policy({"priority": VALUE, "newField": {}, "override": {"min": 1, "max": 2, "step": 3}})
    unknown: list[Problem] = []
    policy = parse_policy(raw, unknown=unknown)

    assert parse_policy(raw_policy({"priority": VALUE, "override": {"min": 1, "max": 2}})) == policy
    assert ["spec.newField", "spec.override.step"] == [problem.field for problem in unknown]
    with pytest.raises(InvalidObject):
        parse_policy(raw)


def test_a_wrong_value_is_refused_beside_an_unknown_field() -> None:
    """Only the field that is not known is left out."""
    with pytest.raises(InvalidObject) as error:
        parse_policy(raw_policy({"priority": {"value": 5000}, "newField": "x"}), unknown=[])

    assert ["spec.priority.value"] == [problem.field for problem in error.value.problems]


def test_a_problem_reads_as_one_line() -> None:
    """File, object and field come first, and an unknown part is left out."""
    problem = Problem("a.yaml", "OOMPolicy/databases", "spec.priority.value", "must be from 0 to 1000, not 1001")

    assert "a.yaml: OOMPolicy/databases: spec.priority.value: must be from 0 to 1000, not 1001" == str(problem)
    assert "b.yaml: cannot be read" == str(Problem("b.yaml", "", "", "cannot be read"))

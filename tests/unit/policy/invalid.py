# SPDX-License-Identifier: Apache-2.0
"""Invalid OOMPolicies, each with the message of the parser and that of the API server.

Tests of both read these tables, so a new rule in one of them needs the answer of the other.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

PRIORITY = {"priority": {"value": 900}}


class Invalid(NamedTuple):
    """A spec that the parser refuses."""

    spec: Mapping[str, Any]
    parser: str
    """The beginning of its only problem."""
    api: str | None
    """A part of the API server's message, or `None` if the API server makes a valid object of it."""


def matching(match: object) -> dict[str, Any]:
    return {**PRIORITY, "match": match}


def requiring(requirement: Mapping[str, Any]) -> dict[str, Any]:
    return matching({"podSelector": {"matchExpressions": [requirement]}})


def offset(priority: Mapping[str, Any], offset: int) -> dict[str, Any]:
    return {"priority": priority, "containers": [{"name": "a", "offset": offset}]}


WRONG_PRIORITIES = [
    Invalid(
        {},
        "spec.priority: is required",
        "spec.priority: Required value",
    ),
    Invalid(
        {**PRIORITY, "precedense": 1},
        "spec.precedense: unknown field; known are precedence, match",
        'unknown field "spec.precedense"',
    ),
    Invalid(
        {**PRIORITY, "precedence": -1},
        "spec.precedence: must be from 0 to 1000000, not -1",
        "spec.precedence in body should be greater than or equal to 0",
    ),
    Invalid(
        {**PRIORITY, "precedence": 1_000_001},
        "spec.precedence: must be from 0 to 1000000, not 1000001",
        "spec.precedence in body should be less than or equal to 1000000",
    ),
    Invalid(
        {**PRIORITY, "precedence": True},
        "spec.precedence: must be an integer from 0 to 1000000, not a boo",
        'spec.precedence in body must be of type int32: ""',
    ),
    Invalid(
        {**PRIORITY, "precedence": "1"},
        "spec.precedence: must be an integer from 0 to 1000000, not a string",
        'spec.precedence in body must be of type integer: "string"',
    ),
    Invalid(
        {"priority": None},
        "spec.priority: must be an object, not null",
        "spec.priority: Required value",
    ),
    Invalid(
        {"priority": {}},
        "spec.priority: must have exactly one of value, byQOSClass, byPriorityClass; has none",
        "spec.priority: Invalid value: must have exactly one of value, byQOSClass, byPriorityClass; has none",
    ),
    Invalid(
        {"priority": {"value": 900, "byQOSClass": {"burstable": 1}}},
        "spec.priority: must have exactly one of value",
        "must have exactly one of value, byQOSClass, byPriorityClass; has value and byQOSClass",
    ),
    Invalid(
        {"priority": {"value": 1001}},
        "spec.priority.value: must be from 0 to 1000, not 1001",
        "spec.priority.value in body should be less than or equal to 1000",
    ),
    Invalid(
        {"priority": {"value": -1}},
        "spec.priority.value: must be from 0 to 1000, not -1",
        "spec.priority.value in body should be greater than or equal to 0",
    ),
    Invalid(
        {"priority": {"value": 9.0}},
        "spec.priority.value: must be an integer from 0 to 1000, not a number",
        "expected int, got float64",
    ),
    Invalid(
        {"priority": {"byQOSClass": {}}},
        "spec.priority.byQOSClass: must have at least one of guaranteed, burstable",
        "spec.priority.byQOSClass: Invalid value: must have at least one of guaranteed, burstable, bestEffort",
    ),
    Invalid(
        {"priority": {"byQOSClass": {"Burstable": 1}}},
        "spec.priority.byQOSClass.Burstable: unknown field",
        'unknown field "spec.priority.byQOSClass.Burstable"',
    ),
    Invalid(
        {"priority": {"byQOSClass": {"burstable": 1001}}},
        "spec.priority.byQOSClass.burstable: must be from 0 to",
        "spec.priority.byQOSClass.burstable in body should be less than or equal to 1000",
    ),
    Invalid(
        {"priority": {"byPriorityClass": {}}},
        "spec.priority.byPriorityClass: must name at least one PriorityClass",
        "spec.priority.byPriorityClass: Invalid value: must name at least one PriorityClass, or default",
    ),
    Invalid(
        {"priority": {"byPriorityClass": {"A_b": 1}}},
        "spec.priority.byPriorityClass: 'A_b' must be 1 to 253",
        "'A_b' is not a valid name of a PriorityClass: 1 to 253 lower-case letters, digits, '-' and '.',"
        " with a letter or digit",
    ),
    Invalid(
        {"priority": {"byPriorityClass": {"a": "1"}}},
        "spec.priority.byPriorityClass.a: must be an integer from 0",
        'spec.priority.byPriorityClass.a in body must be of type integer: "string"',
    ),
]

WRONG_MATCHES = [
    Invalid(
        matching([]),
        "spec.match: must be an object, not a list",
        'spec.match in body must be of type object: "array"',
    ),
    Invalid(
        matching({"pods": {}}),
        "spec.match.pods: unknown field; known are namespaceSelector, podSelector, qosClasses",
        'unknown field "spec.match.pods"',
    ),
    Invalid(
        matching({"podSelector": None}),
        "spec.match.podSelector: must be an object, not null",
        None,
    ),
    Invalid(
        matching({"podSelector": {"app": "a"}}),
        "spec.match.podSelector.app: unknown field; known are matchLabels",
        'unknown field "spec.match.podSelector.app"',
    ),
    Invalid(
        matching({"podSelector": {"matchLabels": {"app": 1}}}),
        "spec.match.podSelector.matchLabels.app: must be a string",
        'spec.match.podSelector.matchLabels.app in body must be of type string: "integer"',
    ),
    Invalid(
        matching({"podSelector": {"matchLabels": {"app": None}}}),
        "spec.match.podSelector.matchLabels.app: must be a string, not null",
        "spec.match.podSelector.matchLabels: Invalid value: the label 'app' has no value",
    ),
    Invalid(
        matching({"namespaceSelector": {"matchLabels": {"a": "b", "tenant": None}}}),
        "spec.match.namespaceSelector.matchLabels.tenant: must be a string, not null",
        "spec.match.namespaceSelector.matchLabels: Invalid value: the label 'tenant' has no value",
    ),
    Invalid(
        matching({"podSelector": {"matchLabels": {1: "a"}}}),
        "spec.match.podSelector.matchLabels: the key 1 must be a string",
        None,
    ),
    Invalid(
        matching({"podSelector": {"matchLabels": {"a/b/c": "d"}}}),
        "spec.match.podSelector.matchLabels[a/b/c]: 'a/b/c' is not a valid label key",
        "'a/b/c' is not a valid label key: 1 to 63 letters, digits, '-', '_' and '.',"
        " with a letter or digit at both ends",
    ),
    Invalid(
        matching({"podSelector": {"matchLabels": {"-a": "d"}}}),
        "spec.match.podSelector.matchLabels.-a: '-a' is not a valid label key",
        "'-a' is not a valid label key: 1 to 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends",
    ),
    Invalid(
        matching({"podSelector": {"matchLabels": {"a": "d\n"}}}),
        "spec.match.podSelector.matchLabels.a: 'd\\n' is not a valid label value",
        "\"d\\n\": must be a label value: at most 63 letters, digits, '-', '_' and '.',"
        " with a letter or digit at both ends",
    ),
    Invalid(
        matching({"podSelector": {"matchLabels": {"a": "x" * 64}}}),
        "spec.match.podSelector.matchLabels.a: 'xxx",
        "spec.match.podSelector.matchLabels.a: Too long: may not be more than 63 bytes",
    ),
    Invalid(
        matching({"qosClasses": []}),
        "spec.match.qosClasses: must not be empty: leave the field out",
        "spec.match.qosClasses: Invalid value: must not be empty: leave the field out",
    ),
    Invalid(
        matching({"qosClasses": ["burstable"]}),
        "spec.match.qosClasses[0]: must be one of Guaranteed, Burstable, BestEffort",
        'spec.match.qosClasses[0]: Unsupported value: "burstable": supported values: "Guaranteed", "Burstable",',
    ),
    Invalid(
        matching({"qosClasses": "Burstable"}),
        "spec.match.qosClasses: must be a list, not a string",
        'spec.match.qosClasses in body must be of type array: "string"',
    ),
    Invalid(
        matching({"priorityClassNames": []}),
        "spec.match.priorityClassNames: must not be empty: leave the field out",
        "spec.match.priorityClassNames: Invalid value: must not be empty: leave the field out",
    ),
    Invalid(
        matching({"priorityClassNames": ["A"]}),
        "spec.match.priorityClassNames[0]: 'A' must be 1 to 253 lower-case letters",
        "\"A\": must be the name of a PriorityClass: 1 to 253 lower-case letters, digits, '-' and '.',"
        " with a letter or",
    ),
    Invalid(
        matching({"priorityClassNames": [7]}),
        "spec.match.priorityClassNames[0]: must be a string, not an integer; put it in",
        'spec.match.priorityClassNames[0] in body must be of type string: "integer"',
    ),
]

WRONG_REQUIREMENTS = [
    Invalid(
        requiring({"key": "a", "operator": "in", "values": ["b"]}),
        "spec.match.podSelector.matchExpressions[0].operator: must be one of In, NotIn, Exists, DoesNotExist",
        'spec.match.podSelector.matchExpressions[0].operator: Unsupported value: "in": supported values: "In",',
    ),
    Invalid(
        requiring({"key": "a", "operator": "In"}),
        "spec.match.podSelector.matchExpressions[0].values: is required with operator In",
        "spec.match.podSelector.matchExpressions[0].values: Required value: values are required with operator In",
    ),
    Invalid(
        requiring({"key": "a", "operator": "NotIn", "values": []}),
        "spec.match.podSelector.matchExpressions[0].values: must not be empty",
        "spec.match.podSelector.matchExpressions[0].values: Required value: values are required with operator NotIn",
    ),
    Invalid(
        requiring({"key": "a", "operator": "Exists", "values": ["b"]}),
        "spec.match.podSelector.matchExpressions[0].values: must not be given with operator Exists",
        "spec.match.podSelector.matchExpressions[0].values: Forbidden: values must not be given with operator",
    ),
    Invalid(
        requiring({"key": "a", "operator": "In", "values": ["-"]}),
        "spec.match.podSelector.matchExpressions[0].values[0]: '-' is not a valid label value",
        "\"-\": must be a label value: at most 63 letters, digits, '-', '_' and '.',"
        " with a letter or digit at both ends",
    ),
    Invalid(
        requiring({"operator": "Exists"}),
        "spec.match.podSelector.matchExpressions[0].key: is required",
        "spec.match.podSelector.matchExpressions[0].key: Required value",
    ),
    Invalid(
        requiring({"key": "a"}),
        "spec.match.podSelector.matchExpressions[0].operator: is required",
        "spec.match.podSelector.matchExpressions[0].operator: Required value",
    ),
    Invalid(
        requiring({"key": "a b", "operator": "Exists"}),
        "spec.match.podSelector.matchExpressions[0].key: 'a b' is not a valid label key",
        "\"a b\": must be a label key: 1 to 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends",
    ),
    Invalid(
        requiring({"key": "A_/b", "operator": "Exists"}),
        "spec.match.podSelector.matchExpressions[0].key: 'A_/b' is not a valid label key: the part before the '/'",
        "\"A_/b\": must be a label key: 1 to 63 letters, digits, '-', '_' and '.', with a letter or digit at both ends",
    ),
]

WRONG_OFFSETS = [
    Invalid(
        {**PRIORITY, "containers": []},
        "spec.containers: must not be empty: leave the field out",
        "spec.containers: Invalid value: must not be empty: leave the field out",
    ),
    Invalid(
        {**PRIORITY, "containers": [{"name": "a"}]},
        "spec.containers[0].offset: is required",
        "spec.containers[0].offset: Required value",
    ),
    Invalid(
        {**PRIORITY, "containers": [{"offset": 1}]},
        "spec.containers[0].name: is required",
        "spec.containers[0].name: Required value",
    ),
    Invalid(
        {**PRIORITY, "containers": [{"name": "A", "offset": 1}]},
        "spec.containers[0].name: 'A' must be 1 to 63 lower-case",
        "\"A\": must be the name of a container: 1 to 63 lower-case letters, digits and '-', with a letter or digit at",
    ),
    Invalid(
        {**PRIORITY, "containers": [{"name": "a", "offset": -1001}]},
        "spec.containers[0].offset: must be from -1000 to 1000",
        "spec.containers[0].offset in body should be greater than or equal to -1000",
    ),
    Invalid(
        {**PRIORITY, "containers": [{"name": "a", "offset": 1}] * 2},
        "spec.containers[1].name: 'a' is named twice",
        'spec.containers[1]: Duplicate value: {"name":"a"}',
    ),
    Invalid(
        {**PRIORITY, "override": {"min": 1}},
        "spec.override.max: is required",
        "spec.override.max: Required value",
    ),
    Invalid(
        {**PRIORITY, "override": {"min": 2, "max": 1}},
        "spec.override: min 2 is above max 1",
        "spec.override: Invalid value: min 2 is above max 1",
    ),
    Invalid(
        {**PRIORITY, "override": {"min": 0, "max": 1001}},
        "spec.override.max: must be from 0 to 1000, not 1001",
        "spec.override.max in body should be less than or equal to 1000",
    ),
    Invalid(
        {**PRIORITY, "override": {"min": 0, "max": 1, "step": 1}},
        "spec.override.step: unknown field; known are min, max",
        'unknown field "spec.override.step"',
    ),
]

OUT_OF_RANGE = [
    Invalid(
        offset({"value": 980}, 50),
        "spec.containers[0].offset: +50 to spec.priority.value 980 makes 1030, outside 0..1000",
        "spec.containers: Invalid value: offset 50 of container a takes priority.value 980 to 1030, outside 0..1000",
    ),
    Invalid(
        offset({"byQOSClass": {"bestEffort": 10}}, -50),
        "spec.containers[0].offset: -50 to spec.priority.byQOSClass.bestEffort 10 makes -40, outside",
        "offset -50 of container a takes priority.byQOSClass.bestEffort 10 to -40, outside 0..1000",
    ),
    Invalid(
        offset({"byPriorityClass": {"a": 500, "b": 980}}, 50),
        "spec.containers[0].offset: +50 to spec.priority.byPriorityClass.b 980 makes 1030",
        "offset 50 of container a takes priority.byPriorityClass.b 980 to 1030, outside 0..1000",
    ),
    Invalid(
        offset({"byPriorityClass": {"default": 980}}, 50),
        "spec.containers[0].offset: +50 to spec.priority.byPriorityClass.default 980 makes 1030",
        "offset 50 of container a takes priority.byPriorityClass.default 980 to 1030, outside 0..1000",
    ),
]

WRONG_KILL_SCOPES = [
    Invalid(
        {**PRIORITY, "killScope": "pod"},
        "spec.killScope: must be one of Container, Pod, Process, not 'pod'",
        'spec.killScope: Unsupported value: "pod": supported values: "Container", "Pod", "Process"',
    ),
    Invalid(
        {**PRIORITY, "killScope": ""},
        "spec.killScope: must be one of Container, Pod, Process, not ''",
        'spec.killScope: Unsupported value: "": supported values: "Container", "Pod", "Process"',
    ),
    Invalid(
        {**PRIORITY, "killScope": True},
        "spec.killScope: must be a string, not a boolean; put it in quotes",
        'spec.killScope in body must be of type string: "boolean"',
    ),
]

INVALID = [
    *WRONG_PRIORITIES,
    *WRONG_MATCHES,
    *WRONG_REQUIREMENTS,
    *WRONG_OFFSETS,
    *OUT_OF_RANGE,
    *WRONG_KILL_SCOPES,
]

# SPDX-License-Identifier: Apache-2.0
"""API server and parser refuse the same OOMPolicies, with messages for the user. All requests are dry runs."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import event, given, settings
from hypothesis import strategies as st

from oompolicy.kube.errors import ApiError
from oompolicy.parse import InvalidObject, parse_policy
from tests.cluster.errors import KubectlError
from tests.unit.policy.factories import raw_policy
from tests.unit.policy.invalid import INVALID, PRIORITY, Invalid, matching

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from oompolicy.model import OOMPolicy
    from tests.cluster.api import Api
    from tests.cluster.cluster import Cluster

REFUSED = [(each.spec, each.api) for each in INVALID if each.api is not None]
VALID_AS_JSON = [each for each in INVALID if each.api is None]
LONG = "a" * 63
LONGEST_PREFIX = f"{LONG}.{LONG}.{LONG}.{'a' * 61}"


@pytest.fixture(scope="module")
def api(session_cluster: Cluster) -> Api:
    return session_cluster.api


def dry_run(api: Api, spec: Mapping[str, Any], name: str = "databases") -> dict[str, Any]:
    return api.create(raw_policy(spec, name), dryRun="All")


def labels(labels: Mapping[str, str]) -> dict[str, Any]:
    return matching({"namespaceSelector": {"matchLabels": labels}})


@pytest.mark.parametrize(("spec", "expected"), REFUSED, ids=[expected for _, expected in REFUSED])
def test_the_api_server_refuses_policies_that_the_parser_refuses(
    api: Api, spec: Mapping[str, Any], expected: str
) -> None:
    """The user gets a message at once, with the field and its error."""
    with pytest.raises(ApiError) as refused:
        dry_run(api, spec)

    assert expected in refused.value.message


@pytest.mark.parametrize("invalid", VALID_AS_JSON, ids=lambda invalid: invalid.parser)
def test_a_policy_that_json_turns_into_a_valid_one_is_accepted(api: Api, invalid: Invalid) -> None:
    """A null means a missing field, and every key is a string. The parser accepts the stored policy."""
    assert "databases" == parse_policy(dry_run(api, invalid.spec)).name


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({**PRIORITY, "override": None, "containers": None}, {"match": {}, "precedence": 0, **PRIORITY}),
        (
            {"priority": {"byPriorityClass": {"a": 1000, "default": 0}}, "containers": [{"name": "b", "offset": 0}]},
            {
                "match": {},
                "precedence": 0,
                "priority": {"byPriorityClass": {"a": 1000, "default": 0}},
                "containers": [{"name": "b", "offset": 0}],
            },
        ),
    ],
)
def test_the_api_server_fills_in_defaults(api: Api, spec: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """`kubectl get -o yaml` shows the values in force, also those that the user left out."""
    assert expected == dry_run(api, spec)["spec"]


@pytest.mark.parametrize(
    "spec",
    [
        labels({LONG: LONG}),
        labels({f"{LONGEST_PREFIX}/{LONG}": ""}),
        labels({f"a/{LONG}": "A_.-z"}),
        matching({"podSelector": {"matchExpressions": []}}),
        matching({"podSelector": {"matchExpressions": [{"key": "a", "operator": "Exists", "values": []}]}}),
        matching({"podSelector": {"matchExpressions": [{"key": LONG, "operator": "In", "values": [""]}]}}),
        matching({"priorityClassNames": [LONGEST_PREFIX, "a.b-c"]}),
        {**PRIORITY, "containers": [{"name": LONG, "offset": 100}, {"name": "a", "offset": -900}]},
        {**PRIORITY, "override": {"min": 0, "max": 0}},
        {"priority": {"byPriorityClass": {LONGEST_PREFIX: 1}}},
        {**PRIORITY, "precedence": 1_000_000},
        *({**PRIORITY, "killScope": scope} for scope in ("Container", "Pod", "Process")),
    ],
)
def test_parser_and_api_server_accept_the_last_allowed_values(api: Api, spec: Mapping[str, Any]) -> None:
    """The last values before each refusal are valid, and are read as the user wrote them."""
    assert parse_policy(raw_policy(spec)) == parse_policy({**dry_run(api, spec), "metadata": {"name": "databases"}})


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (labels({f"{LONG}a": "b"}), "is not a valid label key: 1 to 63 letters"),
        (labels({f"{LONGEST_PREFIX}a/b": "c"}), "is not a valid label key: 1 to 63 letters"),
        (labels({"a\nb": "c"}), "has a key that is not a valid label key"),
        (matching({"podSelector": {"matchExpressions": [{"key": "", "operator": "Exists"}]}}), "must be a label key"),
        (matching({"priorityClassNames": [f"{LONGEST_PREFIX}a"]}), "Too long: may not be more than 253 bytes"),
        ({"priority": {"byPriorityClass": {f"{LONGEST_PREFIX}a": 1}}}, "is not a valid name of a PriorityClass"),
        ({"priority": {"value": 1, "byQOSClass": {"burstable": 1}, "byPriorityClass": {"a": 1}}}, "; has all three"),
        ({"priority": {"value": 1, "byPriorityClass": {"a": 1}}}, "; has value and byPriorityClass"),
        (
            {"priority": {"byQOSClass": {"burstable": 1}, "byPriorityClass": {"a": 1}}},
            "; has byQOSClass and byPriority",
        ),
        (
            {
                "priority": {"byQOSClass": {"guaranteed": 990, "burstable": 1}},
                "containers": [{"name": "a", "offset": 11}],
            },
            "offset 11 of container a takes priority.byQOSClass.guaranteed 990 to 1001, outside 0..1000",
        ),
        (
            {
                "priority": {"byQOSClass": {"guaranteed": 990, "burstable": 1}},
                "containers": [{"name": "a", "offset": -2}],
            },
            "offset -2 of container a takes priority.byQOSClass.burstable 1 to -1, outside 0..1000",
        ),
    ],
)
def test_parser_and_api_server_refuse_the_first_forbidden_values(
    api: Api, spec: Mapping[str, Any], expected: str
) -> None:
    """The first values after the allowed ones are refused, and the messages have each of their possible parts."""
    with pytest.raises(InvalidObject):
        parse_policy(raw_policy(spec))
    with pytest.raises(ApiError) as refused:
        dry_run(api, spec)

    assert expected in refused.value.message


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        (labels({f"a{index}": "b" for index in range(33)}), "Too many: 33: must have at most 32 items"),
        (matching({"priorityClassNames": ["a"] * 65}), "Too many: 65: must have at most 64 items"),
        ({"priority": {"byPriorityClass": {f"a{index}": 1 for index in range(65)}}}, "must have at most 64 items"),
        ({**PRIORITY, "containers": [{"name": f"a{index}", "offset": 1} for index in range(65)]}, "at most 64 items"),
    ],
)
def test_only_the_api_server_limits_the_length_of_lists(api: Api, spec: Mapping[str, Any], expected: str) -> None:
    """The API server estimates the cost of rules, and so needs limits of the lists. The parser has no such limits."""
    with pytest.raises(ApiError) as refused:
        dry_run(api, spec)

    assert expected in refused.value.message
    assert "databases" == parse_policy(raw_policy(spec)).name


@pytest.mark.parametrize("selector", ["namespaceSelector", "podSelector"])
def test_only_the_api_server_refuses_empty_labels(api: Api, selector: str) -> None:
    """An earlier definition let a user store them. Agents continue to apply such a policy, and lint warns of it."""
    spec = matching({selector: {"matchLabels": {}}})
    with pytest.raises(ApiError) as refused:
        dry_run(api, spec)

    assert f"spec.match.{selector}.matchLabels: Invalid value: must not be empty: leave" in refused.value.message
    assert parse_policy(raw_policy(matching({selector: {}}))) == parse_policy(raw_policy(spec))


@pytest.mark.parametrize("how", [["create"], ["apply"], ["apply", "--server-side"]])
def test_no_command_of_kubectl_turns_a_null_label_into_all_namespaces(session_cluster: Cluster, how: list[str]) -> None:
    """`kubectl apply` removes each null before the API server sees it."""
    policy = yaml.safe_dump(raw_policy(matching({"namespaceSelector": {"matchLabels": {"tenant": None}}}), "tenant"))
    with pytest.raises(KubectlError) as refused:
        session_cluster.kubectl(*how, "-f", "-", stdin=policy)

    assert "spec.match.namespaceSelector.matchLabels: Invalid value: " in str(refused.value)


@pytest.mark.parametrize("name", ["Databases", "a..b", "-a", "a" * 254])
def test_parser_and_api_server_refuse_an_invalid_name(api: Api, name: str) -> None:
    """The rules are those for the name of any object of a cluster."""
    with pytest.raises(InvalidObject):
        parse_policy(raw_policy(PRIORITY, name))
    with pytest.raises(ApiError) as refused:
        dry_run(api, PRIORITY, name)

    assert "metadata.name: Invalid value" in refused.value.message


def test_kubectl_shows_all_errors_of_a_policy(session_cluster: Cluster) -> None:
    """The policy is not stored, and the user sees the field and the reason of each error."""
    spec = {
        "priority": {"value": 980},
        "containers": [{"name": "istio-proxy", "offset": 50}],
        "override": {"min": 700, "max": 300},
        "match": {"qosClasses": []},
    }
    with pytest.raises(KubectlError) as refused:
        session_cluster.kubectl("apply", "-f", "-", stdin=yaml.safe_dump(raw_policy(spec)))

    assert [
        "* spec.containers: Invalid value: offset 50 of container istio-proxy takes priority.value 980 to 1030,"
        " outside 0..1000",
        "* spec.match.qosClasses: Invalid value: must not be empty: leave the field out",
        "* spec.override: Invalid value: min 700 is above max 300",
        'The OOMPolicy "databases" is invalid: ',
    ] == sorted(str(refused.value).splitlines())


# Valid policies. `nearly_valid` then replaces, removes or adds a value in up to two places of each.
NAMES = st.sampled_from(["a", "b-c", "0"])
KEYS = st.sampled_from(["a", "a/b", "a.b/C_d"])
VALUES = st.sampled_from(["", "a", "A_.-b"])
LABEL_VALUES = VALUES | st.none()
PRIORITIES = st.integers(0, 1000)
REQUIREMENTS = st.fixed_dictionaries(
    {"key": KEYS, "operator": st.sampled_from(["In", "NotIn"]), "values": st.lists(VALUES, min_size=1, max_size=2)}
) | st.fixed_dictionaries({"key": KEYS, "operator": st.sampled_from(["Exists", "DoesNotExist"])})
SELECTORS = st.fixed_dictionaries(
    {},
    optional={
        "matchLabels": st.dictionaries(KEYS, LABEL_VALUES, min_size=1, max_size=2),
        "matchExpressions": st.lists(REQUIREMENTS, max_size=2),
    },
)
MATCHES = st.fixed_dictionaries(
    {},
    optional={
        "namespaceSelector": SELECTORS,
        "podSelector": SELECTORS,
        "qosClasses": st.lists(st.sampled_from(["Guaranteed", "Burstable", "BestEffort"]), min_size=1, max_size=3),
        "priorityClassNames": st.lists(NAMES, min_size=1, max_size=2),
    },
)
CLASSES = {"guaranteed": PRIORITIES, "burstable": PRIORITIES, "bestEffort": PRIORITIES}
RULES = st.one_of(
    st.fixed_dictionaries({"value": PRIORITIES}),
    st.fixed_dictionaries({"byQOSClass": st.fixed_dictionaries({}, optional=CLASSES)}),
    st.fixed_dictionaries({"byPriorityClass": st.dictionaries(NAMES, PRIORITIES, min_size=1, max_size=3)}),
)
OFFSETS = st.fixed_dictionaries({"name": NAMES, "offset": st.integers(-1000, 1000) | st.integers(-9, 9)})
SPECS = st.fixed_dictionaries(
    {"priority": RULES},
    optional={
        "precedence": st.integers(0, 1_000_000),
        "match": MATCHES,
        "containers": st.lists(OFFSETS, min_size=1, max_size=2),
        "override": st.fixed_dictionaries({"min": PRIORITIES, "max": PRIORITIES}),
        "killScope": st.sampled_from(["Container", "Pod", "Process"]),
    },
)
JUNK = st.sampled_from(
    [-1, 1001, 7, True, "", "a", "A", "-", "a/b/c", "Burstable", "In", [], {}, ["a", "A"], {"a": "A"}, {"value": 1}]
).map(copy.deepcopy)  # a value may be changed later, and is the same object in every draw


def places(value: object) -> Iterator[tuple[Any, Any]]:
    """Yield every member of every object and list, as its holder and its key."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in members:
        yield value, key
        yield from places(member)


@st.composite
def nearly_valid(draw: st.DrawFn) -> dict[str, Any]:
    spec: dict[str, Any] = copy.deepcopy(draw(SPECS))
    for _ in range(draw(st.integers(0, 2))):
        if found := list(places(spec)):
            holder, key = draw(st.sampled_from(found))
            match draw(st.sampled_from(["replace", "remove", "add"])):
                case "replace":
                    holder[key] = draw(JUNK)
                case "remove":
                    del holder[key]
                case _ if isinstance(holder, dict):
                    holder[draw(st.sampled_from(["extra", "value", "A", "a"]))] = draw(JUNK)
    return spec


def read_by_parser(raw: Mapping[str, Any]) -> OOMPolicy | None:
    try:
        return parse_policy(raw)
    except InvalidObject:
        return None


def stored_by(api: Api, spec: Mapping[str, Any]) -> dict[str, Any] | None:
    try:
        return {**dry_run(api, spec), "metadata": {"name": "databases"}}
    except ApiError as error:
        if error.status not in {400, 422}:
            raise
        return None


def has_empty_labels(spec: Mapping[str, Any]) -> bool:
    return any(key == "matchLabels" and holder[key] == {} for holder, key in places(spec))


@settings(max_examples=400, deadline=None)
@given(spec=nearly_valid().filter(lambda spec: not has_empty_labels(spec)))
def test_parser_and_api_server_agree_on_any_policy(api: Api, spec: dict[str, Any]) -> None:
    """The parser reads a stored policy as the one that the user wrote, and refuses each that the API server refuses.

    Empty labels are the exception, which has a test of its own.
    """
    stored = stored_by(api, spec)
    event("stored" if stored else "refused")
    # The keys are sorted as in a stored policy: requirements have the order of the labels.
    written: dict[str, Any] = json.loads(json.dumps(raw_policy(spec), sort_keys=True))

    assert read_by_parser(written) == (parse_policy(stored) if stored else None)

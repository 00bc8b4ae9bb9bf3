# SPDX-License-Identifier: Apache-2.0
"""`oompolicy lint` warns of policies that are valid and probably a mistake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from oompolicy.cli import main
from oompolicy.manifests import load_manifests, manifests_from_objects
from oompolicy.manifests.warnings import warnings_of
from oompolicy.model import LabelSelector, Match, Operator, QOSClass, Requirement
from oompolicy.resolve.disjoint import can_both_match
from oompolicy.resolve.matching import matches_pod, selects
from tests.unit.policy.factories import pod, raw_pod, raw_policy, raw_settings

EXAMPLES = Path(__file__).parents[3] / "examples"
BY_LABEL = {"podSelector": {"matchLabels": {"app": "postgres"}}}
IN_SHOP = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "shop"}}}
CRITICAL = {"priorityClassNames": ["system-node-critical"]}


def warnings(*objects: dict[str, Any]) -> list[str]:
    found = manifests_from_objects([(None, each) for each in objects])
    assert () == found.problems
    return [str(each) for each in warnings_of(found)]


def policy(match: dict[str, Any], name: str = "databases", **spec: object) -> dict[str, Any]:
    return raw_policy({"priority": {"value": 900}, "match": match, **spec}, name)


def test_policy_that_raises_by_labels_alone_needs_a_namespace_selector() -> None:
    (found,) = warnings(policy(BY_LABEL))

    assert found.startswith(
        "OOMPolicy/databases: spec.match: raises priorities (up to 900, and 200 is the default of BestEffort)"
    )
    assert found.endswith("add a namespaceSelector")


def test_an_entry_of_the_settings_that_never_applies_is_found() -> None:
    """The warnings of the settings follow those of the policies."""
    canary = {"matchLabels": {"pool": "canary"}}
    contradiction = {**canary, "matchExpressions": [{"key": "pool", "operator": "DoesNotExist"}]}
    entries = [{"nodeSelector": each, "mode": "Off"} for each in (canary, canary, contradiction)]
    found = warnings(raw_settings({"mode": "Audit", "nodeModes": entries}), policy(BY_LABEL))

    assert [
        "OOMSettings/cluster: spec.nodeModes[1]: never applies, because spec.nodeModes[0] selects all of its nodes;"
        " put this entry first",
        "OOMSettings/cluster: spec.nodeModes[2]: never applies, because its requirements contradict each other",
    ] == found[1:]


@pytest.mark.parametrize(
    "raising",
    [
        policy(BY_LABEL, priority={"value": 300}),
        policy({**BY_LABEL, "qosClasses": ["Guaranteed"]}, priority={"value": 801}),
        policy(BY_LABEL, priority={"byQOSClass": {"burstable": 501}}),
        policy(BY_LABEL, priority={"byPriorityClass": {"production": 201}}),
        policy(BY_LABEL, priority={"byPriorityClass": {"default": 201}}),
        policy(BY_LABEL, priority={"value": 100}, override={"min": 100, "max": 201}),
        policy(BY_LABEL, priority={"value": 200}, containers=[{"name": "proxy", "offset": 800}]),
        policy(BY_LABEL, priority={"value": 100}, containers=[{"name": "proxy", "offset": 101}]),
        policy(BY_LABEL, priority={"byQOSClass": {"burstable": 1}}, containers=[{"name": "proxy", "offset": 1}]),
        policy(BY_LABEL, priority={"byPriorityClass": {"batch": 1}}, containers=[{"name": "proxy", "offset": 1}]),
    ],
)
def test_every_way_to_raise_a_priority_is_found(raising: dict[str, Any]) -> None:
    (found,) = warnings(raising)

    assert "raises priorities" in found


@pytest.mark.parametrize(
    "harmless",
    [
        policy({**BY_LABEL, **IN_SHOP}),
        policy({}),
        policy({"qosClasses": ["BestEffort"]}),
        policy(BY_LABEL, priority={"value": 200}),
        policy({**BY_LABEL, "qosClasses": ["Guaranteed"]}, priority={"value": 800}),
        policy(BY_LABEL, priority={"byQOSClass": {"guaranteed": 800, "bestEffort": 0}}),
        policy(BY_LABEL, priority={"value": 100}, override={"min": 100, "max": 200}),
        policy(BY_LABEL, priority={"value": 200}, containers=[{"name": "logs", "offset": -100}]),
        policy(BY_LABEL, priority={"value": 100}, containers=[{"name": "proxy", "offset": 100}]),
        policy(BY_LABEL, priority={"byQOSClass": {"bestEffort": 1}}, containers=[{"name": "logs", "offset": -1}]),
    ],
)
def test_policy_that_no_user_can_join_to_gain_has_no_warning(harmless: dict[str, Any]) -> None:
    assert [] == warnings(harmless)


@pytest.mark.parametrize(
    ("priority", "lowest"),
    [
        ({"value": 999}, 999),
        ({"byQOSClass": {"guaranteed": 1000, "bestEffort": 850}}, 850),
        ({"byPriorityClass": {"default": 700}}, 700),
        ({"byPriorityClass": {"system-node-critical": 10, "default": 700}}, 10),
    ],
)
def test_policy_that_lowers_node_critical_pods_has_a_warning(priority: dict[str, Any], lowest: int) -> None:
    (found,) = warnings(policy({**IN_SHOP, **CRITICAL}, priority=priority))

    assert f"node-critical pods have priority {lowest} in place of 1000" in found
    assert found.startswith("OOMPolicy/databases: spec.match.priorityClassNames: ")


@pytest.mark.parametrize(
    ("spec", "lowered"),
    [
        (
            {"priority": {"value": 1000}, "containers": [{"name": "kube-proxy", "offset": -1000}]},
            "a container of a node-critical pod has priority 0 in place of 1000",
        ),
        (
            {"priority": {"byQOSClass": {"guaranteed": 1000}}, "containers": [{"name": "a", "offset": -10}]},
            "a container of a node-critical pod has priority 990 in place of 1000",
        ),
        (
            {"priority": {"byPriorityClass": {"other": 300}}, "containers": [{"name": "a", "offset": -10}]},
            "a container of a node-critical pod has priority 990 in place of 1000",
        ),
        (
            {"priority": {"value": 900}, "override": {"min": 900, "max": 1000}},
            "node-critical pods have priority 900 in place of 1000",
        ),
        (
            {"priority": {"value": 1000}, "override": {"min": 0, "max": 1000}},
            "an annotation can give a node-critical pod priority 0 in place of 1000",
        ),
        (
            {
                "priority": {"value": 1000},
                "override": {"min": 400, "max": 1000},
                "containers": [{"name": "a", "offset": -700}],
            },
            "a container of a node-critical pod has priority 300 in place of 1000",
        ),
    ],
)
def test_offset_or_override_that_lowers_node_critical_pods_has_a_warning(spec: dict[str, Any], lowered: str) -> None:
    match = {**IN_SHOP, "priorityClassNames": ["system-node-critical", "other"]}
    (found,) = warnings(policy(match, **spec))

    assert f"so {lowered}, and pods with a higher priority outlive" in found


def test_offset_that_raises_keeps_node_critical_pods() -> None:
    raises: dict[str, Any] = {
        "priority": {"byPriorityClass": {"other": 300}},
        "containers": [{"name": "a", "offset": 5}],
    }

    match = {**IN_SHOP, "priorityClassNames": ["system-node-critical", "other"]}

    assert [] == warnings(policy(match, **raises))


@pytest.mark.parametrize(
    "priority", [{"value": 1000}, {"byPriorityClass": {"system-node-critical": 1000, "default": 1}}]
)
def test_policy_that_keeps_node_critical_pods_has_no_warning(priority: dict[str, Any]) -> None:
    assert [] == warnings(policy({**IN_SHOP, **CRITICAL}, priority=priority))


def test_empty_labels_have_a_warning() -> None:
    """The API server refuses them, because a null may have been there. A selector without the field selects all."""
    empty: dict[str, Any] = {"matchLabels": {}}
    modes = [{"nodeSelector": each, "mode": "Off"} for each in ({"matchLabels": {"a": "b"}}, empty)]
    why = "is empty, so it selects all, and the API server refuses it; leave the field out, or name a label"

    assert [
        f"OOMPolicy/databases: spec.match.namespaceSelector.matchLabels: {why}",
        f"OOMPolicy/databases: spec.match.podSelector.matchLabels: {why}",
        f"OOMSettings/cluster: spec.nodeModes[1].nodeSelector.matchLabels: {why}",
    ] == warnings(
        policy({"namespaceSelector": empty, "podSelector": empty}),
        raw_settings({"mode": "Audit", "nodeModes": modes}),
    )
    assert [] == warnings(policy({"namespaceSelector": {}}))


CONTRADICTION = {"matchLabels": {"a": "b"}, "matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}
UNNAMED = {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "DoesNotExist"}]}


@pytest.mark.parametrize(
    ("match", "fields"),
    [
        ({**IN_SHOP, "podSelector": CONTRADICTION}, ["podSelector"]),
        ({"namespaceSelector": CONTRADICTION}, ["namespaceSelector"]),
        ({"namespaceSelector": UNNAMED}, ["namespaceSelector"]),
        ({"namespaceSelector": CONTRADICTION, "podSelector": CONTRADICTION}, ["namespaceSelector", "podSelector"]),
    ],
)
def test_policy_that_can_match_no_pod_has_a_warning(match: dict[str, Any], fields: list[str]) -> None:
    """Every namespace has the label with its name."""
    assert [
        f"OOMPolicy/databases: spec.match.{field}: selects nothing, because its requirements contradict each other, so"
        " the policy never applies; correct the selector"
        for field in fields
    ] == warnings(policy(match))


@pytest.mark.parametrize(
    ("match", "priority", "field", "why"),
    [
        (
            {},
            {"byPriorityClass": {"system-node-critical": 900, "default": 300}},
            "byPriorityClass[system-node-critical]",
            "a policy applies to node-critical pods only if match.priorityClassNames has this class",
        ),
        (
            {"priorityClassNames": ["batch"]},
            {"byPriorityClass": {"batch": 300, "web": 900}},
            "byPriorityClass[web]",
            "match.priorityClassNames leaves web out",
        ),
        (
            {"qosClasses": ["Guaranteed"]},
            {"byQOSClass": {"guaranteed": 900, "bestEffort": 1}},
            "byQOSClass.bestEffort",
            "match.qosClasses leaves BestEffort out",
        ),
    ],
)
def test_a_value_that_can_apply_to_no_pod_has_a_warning(
    match: dict[str, Any], priority: dict[str, Any], field: str, why: str
) -> None:
    assert [
        f"OOMPolicy/databases: spec.priority.{field}: never applies, because {why}; remove the value, or let spec.match"
        " select these pods"
    ] == warnings(policy({**IN_SHOP, **match}, priority=priority))


def test_values_that_can_apply_have_no_warning() -> None:
    """A default is for all other pods, also if the list names each class."""
    by_class = {"byPriorityClass": {"system-node-critical": 1000, "web": 900, "default": 1000}}
    names = ["system-node-critical", "web"]

    assert [] == warnings(policy({**IN_SHOP, "priorityClassNames": names}, priority=by_class))
    assert [] == warnings(policy(IN_SHOP, priority={"byPriorityClass": {"web": 900}}))
    assert [] == warnings(policy(IN_SHOP, priority={"byQOSClass": {"guaranteed": 900}}))


def test_policy_that_selects_no_pod_of_the_input_has_a_warning() -> None:
    """The labels of the namespace count, and a policy that loses to another one still selects its pods."""
    loser = policy(IN_SHOP, "loser")
    winner = policy(IN_SHOP, "winner", precedence=1)
    elsewhere = policy({"namespaceSelector": {"matchLabels": {"tier": "prod"}}}, "elsewhere", precedence=2)

    assert ["OOMPolicy/elsewhere: spec.match: selects none of the 1 pods of this input"] == warnings(
        loser, winner, elsewhere, raw_pod()
    )


def test_overlap_with_one_precedence_names_a_pod_and_the_policy_that_applies() -> None:
    first, second = policy({}, "first", precedence=7), policy(IN_SHOP, "second", precedence=7)

    assert [
        "OOMPolicy/first: spec.precedence: has the same precedence (7) as OOMPolicy second, and both match pod"
        " shop/postgres-0: first applies, because its name comes first; give them different precedences"
    ] == warnings(second, first, raw_pod())


def test_overlap_that_no_pod_of_the_input_shows_has_no_warning() -> None:
    """The pods of the input decide, if there are any."""
    other = policy({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "batch"}}}, "other")
    batch = raw_pod(metadata={"namespace": "batch", "labels": {"app": "x"}, "uid": "a"})
    mine = policy({**BY_LABEL, "qosClasses": ["BestEffort"], "namespaceSelector": {}}, "mine", priority={"value": 1})
    shop = raw_pod(metadata={"labels": {"app": "postgres"}})

    assert [] == warnings(other, mine, batch, shop)
    assert "a pod can match both" in "".join(warnings(other, mine))


def test_policies_without_pods_overlap_if_a_pod_can_match_both() -> None:
    other = policy({"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "batch"}}}, "other")

    assert [] == warnings(policy(IN_SHOP), other)
    assert [] == warnings(policy({**IN_SHOP, "qosClasses": ["Guaranteed"]}), policy({"qosClasses": ["Burstable"]}, "b"))
    assert [] == warnings(policy(IN_SHOP), policy(IN_SHOP, "second", precedence=1))
    assert 1 == len(warnings(policy(IN_SHOP), policy({}, "second")))


def test_examples_have_no_warning() -> None:
    """This holds for all examples together and for the policies of each file alone."""
    files = [EXAMPLES / "demo", EXAMPLES / "policies", EXAMPLES / "pods"]

    assert () == warnings_of(load_manifests(files, stand_in_uids=True))
    for file in (EXAMPLES / "policies").iterdir():
        assert () == warnings_of(load_manifests([file]))


def test_warning_is_printed_and_fails_only_if_strict(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(yaml.safe_dump(policy(BY_LABEL)))

    assert 0 == main(["lint", str(file)])
    lax = capsys.readouterr().out
    assert 1 == main(["lint", "--strict", str(file)])
    assert lax == capsys.readouterr().out
    assert lax.startswith(f"warning: {file}: OOMPolicy/databases: spec.match: raises priorities")
    assert 1 == lax.count("\n")


def test_strict_without_a_warning_succeeds(tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text(yaml.safe_dump(policy(IN_SHOP)))

    assert 0 == main(["lint", "--strict", str(file)])


KEYS, VALUES = ("a", "b"), ("1", "2")
REQUIREMENTS = st.builds(
    lambda key, operator, values: Requirement(
        key, operator, values if operator in (Operator.IN, Operator.NOT_IN) else frozenset()
    ),
    st.sampled_from(KEYS),
    st.sampled_from(list(Operator)),
    st.frozensets(st.sampled_from(VALUES), min_size=1),
)
SELECTORS = st.none() | st.lists(REQUIREMENTS, max_size=3).map(lambda found: LabelSelector(tuple(found)))
CLASSES = ("system-node-critical", "production", "other")
MATCHES = st.builds(
    Match,
    namespace_selector=SELECTORS,
    pod_selector=SELECTORS,
    qos_classes=st.none() | st.frozensets(st.sampled_from(list(QOSClass)), min_size=1),
    priority_class_names=st.none() | st.frozensets(st.sampled_from(CLASSES[:2]), min_size=1),
)
# A third value represents every value that no requirement names.
LABELS = [
    {key: value for key, value in zip(KEYS, values, strict=True) if value}
    for values in ((first, second) for first in ("", *VALUES, "3") for second in ("", *VALUES, "3"))
]


@given(MATCHES, MATCHES)
def test_two_matches_overlap_if_and_only_if_a_pod_matches_both(first: Match, second: Match) -> None:
    """Every kind of pod and namespace that the selectors can tell apart is tried."""

    def both(part: str) -> list[dict[str, str]]:
        return [each for each in LABELS if all(selects(getattr(match, part), each) for match in (first, second))]

    exists = bool(both("namespace_selector")) and any(
        all(matches_pod(match, candidate) for match in (first, second))
        for labels in both("pod_selector")
        for qos_class in QOSClass
        for name in CLASSES
        for candidate in [pod(labels=labels, qos_class=qos_class, priority_class_name=name)]
    )

    assert exists == can_both_match(first, second)


@pytest.mark.parametrize(("scope", "expected"), [("Pod", 1), ("Container", 0), ("Process", 0)])
def test_offsets_have_little_effect_if_the_pod_dies_as_a_whole(scope: str, expected: int) -> None:
    """The warning names the containers with a higher priority, which die with the others."""
    found = warnings(policy({}, containers=[{"name": "proxy", "offset": 50}], killScope=scope))

    assert expected == len(found)
    assert all("takes the containers with a higher priority with it" in each for each in found)
    assert [] == warnings(policy({}, killScope=scope))


def test_the_warnings_compare_with_the_defaults_of_the_settings() -> None:
    """A policy that raises nothing in this cluster needs no namespace selector."""
    settings = raw_settings({"mode": "Audit", "defaults": {"guaranteed": 900, "burstable": 900, "bestEffort": 900}})

    assert 1 == len(warnings(policy(BY_LABEL)))
    assert [] == warnings(policy(BY_LABEL), settings)


def test_a_lowered_node_critical_pod_is_compared_with_the_default_of_the_settings() -> None:
    settings = raw_settings(
        {"mode": "Audit", "hostPriority": 900, "defaults": {"nodeCritical": 960, "clusterCritical": 960}}
    )
    (found,) = warnings(policy(CRITICAL), settings)

    assert "node-critical pods have priority 900 in place of 960" in found

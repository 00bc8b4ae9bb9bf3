# SPDX-License-Identifier: Apache-2.0
"""One policy wins, and gives a pod and its containers their priorities."""

from collections.abc import Sequence

import pytest

from oompolicy.controller.matcher import Matcher, Shape
from oompolicy.model import (
    Assignment,
    ByPriorityClass,
    ByQOSClass,
    ContainerAssignment,
    Defaults,
    KillScope,
    LabelSelector,
    Match,
    Namespace,
    OOMPolicy,
    Operator,
    Pod,
    QOSClass,
    Requirement,
)
from oompolicy.resolve import Resolver, resolve
from oompolicy.resolve.explain import verdicts
from tests.unit.policy.factories import pod, policy


def assign(
    pod: Pod, *policies: OOMPolicy, namespaces: Sequence[Namespace] = (), defaults: Defaults | None = None
) -> Assignment:
    return Resolver(policies, namespaces, defaults or Defaults()).assign(pod)


def selector(key: str, operator: Operator, *values: str) -> LabelSelector:
    return LabelSelector((Requirement(key, operator, frozenset(values)),))


def test_an_assignment_is_complete() -> None:
    """It has pod, policy, reason, overlap and containers."""
    assignment = assign(pod(), policy("b"), policy("a"), policy("c", precedence=99))

    reason = "OOMPolicy a (precedence 100): value 900"
    expected = Assignment(
        pod_uid="uid-of-shop-postgres-0",
        cgroup_uid="uid-of-shop-postgres-0",
        namespace="shop",
        pod_name="postgres-0",
        priority=900,
        reason=reason,
        source="policy",
        policy="a",
        policy_uid="uid-of-a",
        overlapping=("b",),
        containers=(ContainerAssignment("postgres", "container", 900, reason),),
    )
    assert expected == assignment


@pytest.mark.parametrize(("qos_class", "expected"), list(zip(QOSClass, (800, 500, 200), strict=True)))
def test_a_pod_without_policy_has_the_default_of_its_class(qos_class: QOSClass, expected: int) -> None:
    """No policy is named, and the reason names the class."""
    assignment = assign(pod(qos_class=qos_class))

    assert (expected, "default", None) == (assignment.priority, assignment.source, assignment.policy)
    assert f"built-in default for QoS class {qos_class}" == assignment.reason


def test_the_defaults_can_be_changed() -> None:
    """The defaults are a setting of the cluster."""
    assert 1 == assign(pod(qos_class=QOSClass.BEST_EFFORT), defaults=Defaults(3, 2, 1)).priority


def test_the_highest_precedence_that_matches_wins() -> None:
    """It does not matter whether its priority is higher or lower, or which other policies exist."""
    other = Match(pod_selector=selector("app", Operator.EXISTS))
    policies = [policy("low", precedence=1), policy("high", precedence=2), policy("other", precedence=3, match=other)]

    assignment = assign(pod(), *policies)
    assert ("high", ()) == (assignment.policy, assignment.overlapping)


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        (Match(), True),
        (Match(qos_classes=frozenset({QOSClass.BURSTABLE})), True),
        (Match(qos_classes=frozenset({QOSClass.GUARANTEED})), False),
        (Match(priority_class_names=frozenset({"critical"})), True),
        (Match(priority_class_names=frozenset({"batch"})), False),
        (Match(pod_selector=LabelSelector()), True),
        (Match(pod_selector=selector("app", Operator.IN, "postgres", "redis")), True),
        (Match(pod_selector=selector("app", Operator.IN, "redis")), False),
        (Match(pod_selector=selector("none", Operator.IN, "redis")), False),
        (Match(pod_selector=selector("app", Operator.NOT_IN, "redis")), True),
        (Match(pod_selector=selector("app", Operator.NOT_IN, "postgres")), False),
        (Match(pod_selector=selector("none", Operator.NOT_IN, "redis")), True),
        (Match(pod_selector=selector("app", Operator.EXISTS)), True),
        (Match(pod_selector=selector("none", Operator.EXISTS)), False),
        (Match(pod_selector=selector("app", Operator.DOES_NOT_EXIST)), False),
        (Match(pod_selector=selector("none", Operator.DOES_NOT_EXIST)), True),
        (Match(namespace_selector=selector("tier", Operator.IN, "prod")), True),
        (Match(namespace_selector=selector("app", Operator.EXISTS)), False),
        (Match(selector("tier", Operator.EXISTS), selector("app", Operator.DOES_NOT_EXIST)), False),
    ],
)
def test_all_parts_of_a_match_must_hold(match: Match, expected: bool) -> None:
    """The pod is app=postgres, Burstable and critical, in a namespace of tier=prod."""
    subject = pod(labels={"app": "postgres"}, priority_class_name="critical")
    assignment = assign(subject, policy(match=match), namespaces=[Namespace("shop", {"tier": "prod"})])

    assert expected is (assignment.policy is not None)


def test_a_pod_without_priority_class_matches_no_list_of_classes() -> None:
    """A policy for some classes does not select the pod."""
    assert assign(pod(), policy(match=Match(priority_class_names=frozenset({"critical"})))).policy is None


def test_an_unknown_namespace_has_its_name_as_a_label() -> None:
    """Every namespace has that label, so it is known before the namespace is."""
    by_name = Match(selector("kubernetes.io/metadata.name", Operator.IN, "shop"))
    by_tier = Match(selector("tier", Operator.EXISTS))

    assert "name" == assign(pod(), policy("name", match=by_name), policy("tier", precedence=999, match=by_tier)).policy


@pytest.mark.parametrize("operator", [Operator.NOT_IN, Operator.DOES_NOT_EXIST])
def test_an_unknown_namespace_does_not_lack_a_label(operator: Operator) -> None:
    """Its labels are unknown, so no requirement for another label than its name holds. An empty selector does."""
    without = policy("a", precedence=9, match=Match(selector("tenant", operator, "x")))
    any_other = policy("b", precedence=1, match=Match(selector("kubernetes.io/metadata.name", Operator.NOT_IN, "x")))
    every = policy("c", precedence=0, match=Match(LabelSelector()))
    known = [Namespace("shop")]

    assert ("b", "a") == (
        assign(pod(), without, any_other, every).policy,
        assign(pod(), without, any_other, every, namespaces=known).policy,
    )
    assert "c" == assign(pod(), without, every).policy
    verdict = verdicts([without], None, pod())[0]
    assert ("differs", ("the labels of namespace shop, such as tenant, are unknown",)) == (
        verdict.outcome,
        verdict.reasons,
    )
    shape = Shape("shop", (), QOSClass.BURSTABLE, None)
    assert [any_other, every] == Matcher([without, any_other, every], {}).matching(shape)
    assert [without, any_other, every] == Matcher([without, any_other, every], {"shop": {}}).matching(shape)


@pytest.mark.parametrize(
    ("qos_class", "priority", "reason"),
    [
        (QOSClass.GUARANTEED, 700, "byQOSClass Guaranteed 700"),
        (QOSClass.BEST_EFFORT, 0, "byQOSClass BestEffort 0"),
        (QOSClass.BURSTABLE, 500, "byQOSClass has no value for Burstable, so built-in default for QoS class Burstable"),
    ],
)
def test_a_policy_may_use_the_qos_class(qos_class: QOSClass, priority: int, reason: str) -> None:
    """A class without a value has the built-in default, and the reason names it."""
    assignment = assign(pod(qos_class=qos_class), policy(priority=ByQOSClass(700, None, 0)))

    assert (priority, f"OOMPolicy databases (precedence 100): {reason}") == (assignment.priority, assignment.reason)
    assert "policy" == assignment.source


@pytest.mark.parametrize(
    ("name", "default", "priority", "reason"),
    [
        ("critical", 400, 950, "byPriorityClass critical 950"),
        ("other", 400, 400, "byPriorityClass default 400 for PriorityClass other"),
        ("other", 0, 0, "byPriorityClass default 0 for PriorityClass other"),
        (None, 400, 400, "byPriorityClass default 400 for a pod without PriorityClass"),
        (
            "other",
            None,
            500,
            "byPriorityClass has no value for PriorityClass other and no default,"
            " so built-in default for QoS class Burstable",
        ),
    ],
)
def test_a_policy_may_use_the_priority_class(name: str | None, default: int | None, priority: int, reason: str) -> None:
    """`default` is for all classes that it does not name. Without it they have the built-in default."""
    by_class = policy(priority=ByPriorityClass({"critical": 950}, default))
    assignment = assign(pod(priority_class_name=name), by_class)

    assert (priority, f"OOMPolicy databases (precedence 100): {reason}") == (assignment.priority, assignment.reason)


def test_the_kill_scope_is_that_of_the_policy_that_gives_the_priority() -> None:
    """A policy of lower precedence does not fill it in, even if it matches too."""
    above, below = policy("above", precedence=2), policy("below", precedence=1, kill_scope=KillScope.POD)

    assert None is assign(pod(), above, below).kill_scope
    assert KillScope.POD is assign(pod(), below).kill_scope
    assert None is assign(pod()).kill_scope


def test_an_annotation_does_not_change_the_kill_scope() -> None:
    """It changes the priority alone, so the namespace's users cannot decide which processes die together."""
    allowing = policy(override=(0, 1000), kill_scope=KillScope.PROCESS)
    found = assign(pod(annotations={"oompolicy.dev/priority": "7"}), allowing)

    assert (7, "annotation", KillScope.PROCESS) == (found.priority, found.source, found.kill_scope)


def test_containers_are_shifted_by_their_offsets() -> None:
    """An offset for a container that the pod does not have has no effect."""
    assignment = assign(
        pod(containers=("app", "proxy", "logs")), policy(containers={"proxy": 50, "logs": -200, "none": 1})
    )

    reason = "OOMPolicy databases (precedence 100): value 900"
    expected = [("app", 900, reason), ("proxy", 950, f"{reason}, offset +50"), ("logs", 700, f"{reason}, offset -200")]
    assert expected == [(each.name, each.priority, each.reason) for each in assignment.containers]


def test_an_offset_on_a_built_in_default_stops_at_the_bound_with_a_reason() -> None:
    """The policy cannot be refused for it, because the default is not part of the policy."""
    fallback = policy(priority=ByQOSClass(guaranteed=100), containers={"up": 600, "down": -600})
    assignment = assign(pod(containers=("up", "down")), fallback)

    assert [1000, 0] == [each.priority for each in assignment.containers]
    assert ["limited to 1000", "limited to 0"] == [each.reason.rpartition(", ")[2] for each in assignment.containers]


def test_assignments_are_sorted_by_namespace_and_name() -> None:
    """The order of the pods does not matter."""
    pods = [pod(namespace="b", name="a"), pod(namespace="a", name="b"), pod(namespace="a", name="a")]

    assert [("a", "a"), ("a", "b"), ("b", "a")] == [(each.namespace, each.pod_name) for each in resolve([], [], pods)]


@pytest.mark.parametrize(
    ("policies", "namespaces", "message"),
    [
        ([policy(), policy(precedence=1)], [], "two policies are named databases"),
        ([], [Namespace("shop"), Namespace("shop", {"a": "b"})], "two namespaces are named shop"),
    ],
)
def test_names_must_be_unique(policies: list[OOMPolicy], namespaces: list[Namespace], message: str) -> None:
    """Otherwise the choice between two of them would be random."""
    with pytest.raises(ValueError, match=message):
        Resolver(policies, namespaces)

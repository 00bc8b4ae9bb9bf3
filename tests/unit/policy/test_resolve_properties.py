# SPDX-License-Identifier: Apache-2.0
"""The properties of every resolution, for any policies, namespaces and pods."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from oompolicy.model import (
    MAX_PRECEDENCE,
    MAX_PRIORITY,
    MIN_PRIORITY,
    ByPriorityClass,
    ByQOSClass,
    Container,
    ContainerOffset,
    Defaults,
    FixedPriority,
    LabelSelector,
    Match,
    Namespace,
    OOMPolicy,
    Operator,
    Override,
    Pod,
    Priority,
    QOSClass,
    Requirement,
)
from oompolicy.parse import InvalidObject, parse_policy
from oompolicy.policyhash import policy_hash
from oompolicy.resolve import Resolver, resolve
from oompolicy.resolve.annotations import CONTAINER_ANNOTATION, POD_ANNOTATION
from oompolicy.resolve.matching import matches_pod, selects
from tests.unit.policy.factories import raw_policy

# There are few names and values, so policies and pods often match.
NAMES = st.sampled_from(["a", "b", "c"])
PRIORITIES = st.integers(MIN_PRIORITY, MAX_PRIORITY)
LABELS = st.dictionaries(NAMES, NAMES, max_size=2)
REQUIREMENTS = st.one_of(
    st.builds(
        Requirement,
        NAMES,
        st.sampled_from([Operator.IN, Operator.NOT_IN]),
        st.frozensets(NAMES, min_size=1, max_size=2),
    ),
    st.builds(Requirement, NAMES, st.sampled_from([Operator.EXISTS, Operator.DOES_NOT_EXIST])),
)
SELECTORS = st.none() | st.builds(LabelSelector, st.lists(REQUIREMENTS, max_size=2).map(tuple))
MATCHES = st.builds(
    Match,
    SELECTORS,
    SELECTORS,
    st.none() | st.frozensets(st.sampled_from(QOSClass), min_size=1),
    st.none() | st.frozensets(NAMES, min_size=1),
)
PRIORITY_RULES: st.SearchStrategy[Priority] = st.one_of(
    st.builds(FixedPriority, PRIORITIES),
    st.builds(ByQOSClass, *[st.none() | PRIORITIES] * 3).filter(lambda rule: rule != ByQOSClass()),
    st.builds(ByPriorityClass, st.dictionaries(NAMES, PRIORITIES, min_size=1), st.none() | PRIORITIES),
)
OVERRIDES = st.none() | st.tuples(PRIORITIES, PRIORITIES).map(lambda ends: Override(min(ends), max(ends)))


@st.composite
def offsets(draw: st.DrawFn) -> tuple[ContainerOffset, ...]:
    drawn = draw(st.dictionaries(NAMES, st.integers(-1000, 1000) | st.integers(-50, 50), max_size=3))
    return tuple(ContainerOffset(name, offset) for name, offset in drawn.items())


def written(policy: OOMPolicy) -> dict[str, Any]:
    """Return the manifest of a policy."""
    match: dict[str, Any] = {
        "namespaceSelector": written_selector(policy.match.namespace_selector),
        "podSelector": written_selector(policy.match.pod_selector),
        "qosClasses": policy.match.qos_classes and [str(each) for each in policy.match.qos_classes],
        "priorityClassNames": policy.match.priority_class_names and list(policy.match.priority_class_names),
    }
    spec: dict[str, Any] = {
        "precedence": policy.precedence,
        "match": without_none(match),
        "priority": written_priority(policy.priority),
        "containers": [{"name": each.name, "offset": each.offset} for each in policy.containers] or None,
        "override": policy.override and {"min": policy.override.min, "max": policy.override.max},
    }
    raw = raw_policy(without_none(spec), policy.name)
    raw["metadata"] |= {"generation": policy.generation, "uid": policy.uid}
    return raw


def written_selector(selector: LabelSelector | None) -> dict[str, Any] | None:
    if selector is None:
        return None
    expressions = [
        without_none({"key": each.key, "operator": str(each.operator), "values": list(each.values) or None})
        for each in selector.requirements
    ]
    return {"matchExpressions": expressions}


def written_priority(priority: Priority) -> dict[str, Any]:
    match priority:
        case FixedPriority(value):
            return {"value": value}
        case ByQOSClass(guaranteed, burstable, best_effort):
            values = {"guaranteed": guaranteed, "burstable": burstable, "bestEffort": best_effort}
            return {"byQOSClass": without_none(values)}
        case ByPriorityClass(classes, default):
            return {"byPriorityClass": without_none({**classes, "default": default})}


def without_none(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if value is not None}


def is_valid(policy: OOMPolicy) -> bool:
    try:
        parse_policy(written(policy))
    except InvalidObject:
        return False
    return True


POLICIES = st.lists(
    st.builds(
        OOMPolicy,
        st.sampled_from(["p", "q", "r", "s", "t"]),
        st.integers(1, 3),
        st.just("a-uid"),
        st.integers(0, 2) | st.just(MAX_PRECEDENCE),
        MATCHES,
        PRIORITY_RULES,
        offsets(),
        OVERRIDES,
    ).filter(is_valid),
    max_size=5,
    unique_by=lambda policy: policy.name,
)
NAMESPACES = st.lists(st.builds(Namespace, NAMES, LABELS), max_size=3, unique_by=lambda namespace: namespace.name)
ANNOTATIONS = st.dictionaries(
    st.sampled_from([POD_ANNOTATION, *(CONTAINER_ANNOTATION + name for name in "abcx"), "oompolicy.dev/x", "other"]),
    PRIORITIES.map(str) | st.sampled_from(["", "-1", "01", "1001", "high"]),
    max_size=4,
)


@st.composite
def pods(draw: st.DrawFn) -> list[Pod]:
    places = draw(st.lists(st.tuples(NAMES, NAMES), max_size=4, unique=True))
    return [
        Pod(
            uid=f"{namespace}/{name}",
            namespace=namespace,
            name=name,
            node_name=None,
            labels=draw(LABELS),
            annotations=draw(ANNOTATIONS),
            qos_class=draw(st.sampled_from(QOSClass)),
            priority_class_name=draw(st.none() | NAMES),
            containers=tuple(Container(each, "container") for each in sorted(draw(st.sets(NAMES, min_size=1)))),
            cgroup_uid=f"{namespace}/{name}",
            phase=None,
            memory_request=0,
        )
        for namespace, name in places
    ]


def matching(policies: Sequence[OOMPolicy], namespaces: Sequence[Namespace], pod: Pod) -> list[OOMPolicy]:
    """Return the matching policies by the definition, without the resolver's order and indexes."""
    name = "kubernetes.io/metadata.name"
    known = next((each.labels for each in namespaces if each.name == pod.namespace), None)
    labels = {**(known or {}), name: pod.namespace}

    def is_known(policy: OOMPolicy) -> bool:
        selector = policy.match.namespace_selector
        return known is not None or selector is None or {each.key for each in selector.requirements} <= {name}

    return [
        each
        for each in policies
        if is_known(each) and selects(each.match.namespace_selector, labels) and matches_pod(each.match, pod)
    ]


@given(POLICIES, NAMESPACES, pods(), st.randoms(use_true_random=False))
def test_order_does_not_matter(
    policies: list[OOMPolicy], namespaces: list[Namespace], pods: list[Pod], random: Random
) -> None:
    """Every pod has the same assignment in each order of policies, namespaces and pods, and so has the hash."""
    first = resolve(policies, namespaces, pods)
    before = policy_hash(policies)
    for things in (policies, namespaces, pods):
        random.shuffle(things)

    assert first == resolve(policies, namespaces, pods)
    assert before == policy_hash(policies)


@given(POLICIES, NAMESPACES, pods())
def test_a_pod_alone_is_resolved_as_among_all(
    policies: list[OOMPolicy], namespaces: list[Namespace], pods: list[Pod]
) -> None:
    """A resolver keeps nothing of one pod that affects another."""
    alone = [Resolver(policies, namespaces).assign(pod) for pod in pods]

    assert sorted(alone, key=lambda each: each.pod_uid) == sorted(
        resolve(policies, namespaces, pods), key=lambda each: each.pod_uid
    )


@given(POLICIES, NAMESPACES, pods(), st.builds(Defaults, PRIORITIES, PRIORITIES, PRIORITIES))
def test_every_priority_is_in_the_range(
    policies: list[OOMPolicy], namespaces: list[Namespace], pods: list[Pod], defaults: Defaults
) -> None:
    """Every pod and every container has exactly one priority, and it is within the range."""
    assignments = resolve(policies, namespaces, pods, defaults)

    assert sorted(pod.uid for pod in pods) == sorted(each.pod_uid for each in assignments)
    for pod, assignment in zip(sorted(pods, key=lambda pod: (pod.namespace, pod.name)), assignments, strict=True):
        assert [each.name for each in pod.containers] == [each.name for each in assignment.containers]
        for priority in (assignment.priority, *(each.priority for each in assignment.containers)):
            assert MIN_PRIORITY <= priority <= MAX_PRIORITY


@given(POLICIES, NAMESPACES, pods())
def test_the_winner_has_the_highest_precedence_and_the_first_name(
    policies: list[OOMPolicy], namespaces: list[Namespace], pods: list[Pod]
) -> None:
    """Winner and overlapping policies together are all policies that match with that precedence."""
    resolver = Resolver(policies, namespaces)
    for pod in pods:
        candidates = matching(policies, namespaces, pod)
        best = [each.name for each in candidates if each.precedence == max(other.precedence for other in candidates)]
        assignment = resolver.assign(pod)

        named = [assignment.policy, *assignment.overlapping] if assignment.policy else []
        assert sorted(best) == named
        assert bool(best) is (assignment.source != "default")


@given(POLICIES, NAMESPACES, pods())
def test_an_annotation_is_obeyed_within_the_override_or_refused(
    policies: list[OOMPolicy], namespaces: list[Namespace], pods: list[Pod]
) -> None:
    """An annotation is applied or refused, and never applied beyond the override of the winner.

    A container that follows the pod's annotation is within the override too, or where the policy itself puts it.
    """
    by_name = {policy.name: policy for policy in policies}
    resolver = Resolver(policies, namespaces)
    for pod in pods:
        assignment = resolver.assign(pod)
        given = {POD_ANNOTATION: assignment.priority} if assignment.source == "annotation" else {}
        given |= {
            f"{CONTAINER_ANNOTATION}{each.name}": each.priority
            for each in assignment.containers
            if each.reason.startswith(f"annotation {CONTAINER_ANNOTATION}")
        }

        refused = {refusal.annotation for refusal in assignment.refusals}
        ours = {annotation for annotation in pod.annotations if annotation.startswith("oompolicy.dev/")}
        assert ours == refused ^ given.keys()
        for annotation, priority in given.items():
            override = by_name[assignment.policy or ""].override
            assert str(priority) == pod.annotations[annotation]
            assert override is not None
            assert override.min <= priority <= override.max
        override = by_name[assignment.policy or ""].override if POD_ANNOTATION in given else None
        if override:
            without = Resolver(policies, namespaces).assign(replace(pod, annotations={}))
            for container, bare in zip(assignment.containers, without.containers, strict=True):
                assert min(override.min, bare.priority) <= container.priority <= max(override.max, bare.priority)


@given(POLICIES)
def test_a_written_policy_is_read_unchanged(policies: list[OOMPolicy]) -> None:
    """The manifest of a record gives the same record."""
    for policy in policies:
        assert policy == parse_policy(written(policy))

# SPDX-License-Identifier: Apache-2.0
"""`explain` says for each policy whether it applies, and the conditions that keep it from matching."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oompolicy.model import (
    LabelSelector,
    Match,
    Mirror,
    Namespace,
    Operator,
    QOSClass,
    Requirement,
)
from oompolicy.resolve import resolve
from oompolicy.resolve.explain import Verdict, verdicts
from tests.unit.policy.factories import pod, policy

LABELS = {"tier": "prod"}
POSTGRES = pod(labels={"app": "postgres", "env": "prod"})


def wants(**labels: str) -> LabelSelector:
    return LabelSelector(tuple(Requirement(key, Operator.IN, frozenset({value})) for key, value in labels.items()))


def verdict_of(match: Match) -> Verdict:
    (verdict,) = verdicts([policy(match=match)], LABELS, POSTGRES)
    return verdict


def test_the_winner_applies_and_others_are_outranked() -> None:
    """The highest precedence comes first, and of equal ones the first name wins."""
    made = [policy("c", precedence=1), policy("b", precedence=5), policy("a", precedence=5)]

    assert (
        Verdict("a", 5, "applies"),
        Verdict("b", 5, "outranked", ("OOMPolicy a has the same precedence, and its name comes first",)),
        Verdict("c", 1, "outranked", ("precedence 1 is lower than 5 of OOMPolicy a",)),
    ) == verdicts(made, {}, POSTGRES)


@pytest.mark.parametrize(
    ("match", "reason"),
    [
        (
            Match(namespace_selector=wants(tier="prod"), pod_selector=wants(app="web")),
            "label app of the pod is 'postgres', not web",
        ),
        (Match(pod_selector=wants(app="postgres", team="a")), "the pod has no label team, which must be a"),
        (
            Match(namespace_selector=wants(tier="test"), pod_selector=wants(app="postgres")),
            "label tier of namespace shop is 'prod', not test",
        ),
        (
            Match(pod_selector=wants(app="postgres"), qos_classes=frozenset({QOSClass.GUARANTEED})),
            "the QoS class is Burstable, not Guaranteed",
        ),
        (
            Match(pod_selector=wants(app="postgres"), priority_class_names=frozenset({"b", "a"})),
            "the PriorityClass is missing, and must be a or b",
        ),
    ],
)
def test_a_policy_nearly_matches_if_one_of_several_conditions_fails(match: Match, reason: str) -> None:
    """The reason names the object, its value and the wanted value."""
    assert ("nearly", (reason,)) == (verdict_of(match).outcome, verdict_of(match).reasons)


def test_a_policy_with_one_condition_that_fails_differs() -> None:
    """Otherwise each policy of another namespace would nearly match each pod."""
    verdict = verdict_of(Match(namespace_selector=wants(**{"kubernetes.io/metadata.name": "other"})))

    assert "differs" == verdict.outcome
    assert ("label kubernetes.io/metadata.name of namespace shop is 'shop', not other",) == verdict.reasons


def test_a_policy_with_two_conditions_that_fail_differs() -> None:
    """The verdict has a reason for each of them."""
    verdict = verdict_of(Match(pod_selector=wants(app="web", env="test", tier="x")))

    assert ("differs", 3) == (verdict.outcome, len(verdict.reasons))


@pytest.mark.parametrize(
    ("operator", "values", "reason"),
    [
        (Operator.NOT_IN, {"postgres"}, "label app of the pod must not be 'postgres'"),
        (Operator.DOES_NOT_EXIST, set(), "label app of the pod must not exist"),
    ],
)
def test_a_reason_names_a_label_that_must_not_be(operator: Operator, values: set[str], reason: str) -> None:
    """A negative requirement fails because of a label that the pod has."""
    requirement = Requirement("app", operator, frozenset(values))

    assert (reason,) == verdict_of(Match(pod_selector=LabelSelector((requirement,)))).reasons
    missing = Requirement("team", Operator.EXISTS)
    assert ("the pod has no label team",) == verdict_of(Match(pod_selector=LabelSelector((missing,)))).reasons


def test_a_policy_for_all_pods_nearly_matches_a_node_critical_pod() -> None:
    """The reason is the rule that protects node-critical pods."""
    static = dataclasses.replace(POSTGRES, mirror=Mirror(by_node=True, created=""))
    (verdict,) = verdicts([policy()], {}, static)

    assert "nearly" == verdict.outcome
    assert "the pod is node-critical" in verdict.reasons[0]


REQUIREMENTS = st.builds(
    Requirement,
    st.sampled_from(["app", "env", "tier"]),
    st.just(Operator.IN),
    st.sampled_from([{"prod"}, {"web"}]).map(frozenset),
)
SELECTORS = st.none() | st.lists(REQUIREMENTS, max_size=2).map(lambda found: LabelSelector(tuple(found)))
MATCHES = st.builds(
    Match,
    SELECTORS,
    SELECTORS,
    st.none() | st.sets(st.sampled_from(QOSClass), min_size=1).map(frozenset),
    st.none() | st.just(frozenset({"system-node-critical"})),
)


@given(st.lists(st.tuples(st.integers(0, 2), MATCHES), max_size=5), st.sampled_from([None, "system-node-critical"]))
def test_the_policy_that_applies_is_the_one_that_resolve_chooses(
    made: list[tuple[int, Match]], priority_class: str | None
) -> None:
    """The explanation and the decision come from different code."""
    policies = [policy(f"p{number}", precedence=each, match=match) for number, (each, match) in enumerate(made)]
    subject = pod(labels={"app": "web", "env": "prod"}, priority_class_name=priority_class)
    (assignment,) = resolve(policies, [Namespace("shop", LABELS)], [subject])
    found = verdicts(policies, LABELS, subject)

    winners = [each.policy for each in found if each.outcome == "applies"]
    assert ([assignment.policy] if assignment.policy else []) == winners
    assert len(policies) == len(found)
    tied = [each.policy for each in found if each.outcome == "outranked" and "same precedence" in each.reasons[0]]
    assert assignment.overlapping == tuple(tied)

# SPDX-License-Identifier: Apache-2.0
"""The census counts the same pods and overlaps as the policy model, after any sequence of changes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oompolicy.controller.census import Census
from oompolicy.controller.matcher import Shape
from oompolicy.model import LabelSelector, Match, Namespace, OOMPolicy, Operator, Pod, QOSClass, Requirement
from oompolicy.resolve import Resolver
from tests.unit.policy.factories import pod, policy

GUARANTEED, BURSTABLE = QOSClass.GUARANTEED, QOSClass.BURSTABLE


def shape(
    namespace: str = "shop", *, qos: QOSClass = BURSTABLE, priority_class: str | None = None, **labels: str
) -> Shape:
    return Shape(namespace, tuple(sorted(labels.items())), qos, priority_class)


def having(**labels: str) -> LabelSelector:
    return LabelSelector(tuple(Requirement(key, Operator.IN, frozenset({value})) for key, value in labels.items()))


def census(*policies: OOMPolicy, **pods: Shape | None) -> Census:
    made = Census()
    made.put_policies(policies)
    made.replace_pods(pods)
    made.changed()
    return made


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        (Match(), 4),
        (Match(pod_selector=having(app="db")), 2),
        (Match(pod_selector=having(app="db", tier="prod")), 1),
        (Match(qos_classes=frozenset({GUARANTEED})), 1),
        (Match(priority_class_names=frozenset({"critical"})), 1),
        (Match(pod_selector=LabelSelector((Requirement("tier", Operator.DOES_NOT_EXIST),))), 3),
        (Match(namespace_selector=having(**{"kubernetes.io/metadata.name": "lab"})), 1),
        (Match(namespace_selector=having(team="a")), 3),
        (Match(pod_selector=having(app="web")), 0),
    ],
)
def test_a_policy_matches_the_pods_that_its_match_selects(match: Match, expected: int) -> None:
    """Each field of a match limits the pods that are counted."""
    made = census(
        policy("p", match=match),
        a=shape(app="db", tier="prod"),
        b=shape(app="db", priority_class="critical"),
        c=shape(qos=GUARANTEED),
        d=shape("lab"),
    )
    made.replace_namespaces({"shop": {"team": "a"}, "lab": {"team": "b"}})

    assert expected == made.matched("p")


def test_a_finished_pod_is_not_counted() -> None:
    """A pod is not counted if it has finished before its first event, or when it finishes."""
    made = census(policy("p"), a=shape(), b=None)
    assert 1 == made.matched("p")
    assert 1 == made.pods
    made.put_pod("a", None)

    assert 0 == made.matched("p")
    assert 0 == made.pods
    assert 0 == made.shapes


def test_pods_of_one_shape_share_a_group() -> None:
    """Pods are grouped by shape, and a shape without pods is removed."""
    made = census(policy("p"), a=shape(app="db"), b=shape(app="db"), c=shape())
    assert 3 == made.pods
    assert 2 == made.shapes
    made.drop_pod("c")

    assert 2 == made.pods
    assert 1 == made.shapes


def test_the_deletion_of_an_unknown_pod_changes_nothing() -> None:
    """A pod that is created and deleted during one list is deleted without being known."""
    made = census(policy("p"), a=shape())
    made.drop_pod("b")

    assert 1 == made.matched("p")


def test_equal_precedence_is_an_overlap_on_the_pods_that_both_match() -> None:
    """Two policies of the same precedence overlap while a pod exists that both match. No other policy overlaps."""
    made = census(
        policy("caches", match=Match(pod_selector=having(app="db"))),
        policy("databases", match=Match(pod_selector=having(tier="prod"))),
        policy("lower", precedence=1),
        a=shape(app="db", tier="prod"),
        b=shape(app="db"),
    )

    assert ("databases",) == made.overlapping("caches")
    assert ("caches",) == made.overlapping("databases")
    assert () == made.overlapping("lower")
    made.drop_pod("a")
    assert () == made.overlapping("caches")
    assert () == made.overlapping("databases")


def test_a_policy_of_higher_precedence_ends_an_overlap() -> None:
    """If another policy has a higher precedence on the same pods, the two policies below it do not overlap."""
    made = census(policy("a"), policy("b"), pod=shape())
    assert ("b",) == made.overlapping("a")
    made.put_policies([policy("a"), policy("b"), policy("c", precedence=500)])

    assert ((), (), ()) == tuple(map(made.overlapping, "abc"))


def test_each_pod_is_decided_by_one_policy() -> None:
    """The highest precedence wins, and then the first name. A pod that no policy matches is decided by none."""
    made = census(
        policy("a", precedence=1),
        policy("b", precedence=5, match=Match(pod_selector=having(app="db"))),
        policy("c", precedence=5, match=Match(pod_selector=having(tier="prod"))),
        p=shape(app="db", tier="prod"),
        q=shape(tier="prod"),
        r=shape(),
        s=shape(),
    )

    assert (2, 1, 1) == tuple(map(made.decided, "abc"))
    made.put_policies([policy("c", precedence=5, match=Match(pod_selector=having(tier="prod")))])
    assert (0, 0, 2) == tuple(map(made.decided, "abc"))


def test_only_policies_with_new_numbers_are_changed() -> None:
    """A new pod changes only the policies that match it, so only their statuses are evaluated."""
    made = census(policy("db", match=Match(pod_selector=having(app="db"))), policy("web", precedence=5), a=shape())
    made.put_pod("b", shape(app="db"))

    assert {"db", "web"} == made.changed()
    made.put_pod("c", shape())
    assert {"web"} == made.changed()
    made.put_pod("c", shape())
    assert set() == made.changed()


def test_a_deleted_policy_matches_and_overlaps_nothing() -> None:
    """A deleted policy has neither pods nor overlaps."""
    made = census(policy("a"), policy("b"), pod=shape())
    made.put_policies([policy("a")])

    assert 1 == made.matched("a")
    assert 0 == made.matched("b")
    assert () == made.overlapping("a")


_KEYS, _VALUES = st.sampled_from(["app", "tier"]), st.sampled_from(["x", "y"])
_LABELS = st.dictionaries(_KEYS, _VALUES)
_NAMES = st.sampled_from(["p0", "p1", "p2"])
_NAMESPACES = st.sampled_from(["n0", "n1"])
_REQUIREMENTS = st.one_of(
    st.builds(
        Requirement,
        _KEYS,
        st.sampled_from([Operator.IN, Operator.NOT_IN]),
        st.frozensets(_VALUES, min_size=1),
    ),
    st.builds(Requirement, _KEYS, st.sampled_from([Operator.EXISTS, Operator.DOES_NOT_EXIST])),
)
_SELECTORS = st.none() | st.builds(LabelSelector, st.lists(_REQUIREMENTS, max_size=2).map(tuple))
_MATCHES = st.builds(
    Match,
    _SELECTORS,
    _SELECTORS,
    st.none() | st.frozensets(st.sampled_from(QOSClass)),
    st.none() | st.frozensets(st.sampled_from(["critical", "batch"])),
)
_POLICIES = st.dictionaries(_NAMES, st.tuples(_MATCHES, st.sampled_from([1, 2])))
_SHAPES = st.builds(
    Shape,
    _NAMESPACES,
    _LABELS.map(lambda labels: tuple(sorted(labels.items()))),
    st.sampled_from(QOSClass),
    st.sampled_from([None, "critical"]),
)
_UIDS = st.sampled_from("abcde")
_STEPS = st.one_of(
    st.tuples(st.just("put_pod"), _UIDS, st.none() | _SHAPES),
    st.tuples(st.just("drop_pod"), _UIDS),
    st.tuples(st.just("replace_pods"), st.dictionaries(_UIDS, st.none() | _SHAPES)),
    st.tuples(st.just("put_namespace"), _NAMESPACES, st.none() | _LABELS),
    st.tuples(st.just("replace_namespaces"), st.dictionaries(_NAMESPACES, _LABELS)),
    st.tuples(st.just("put_policies"), _POLICIES),
)


class Model:
    """A model that stores all objects and counts by brute force."""

    def __init__(self) -> None:
        self.pods: dict[str, Shape] = {}
        self.namespaces: dict[str, dict[str, str]] = {}
        self.policies: dict[str, OOMPolicy] = {}

    def replace_pods(self, pods: dict[str, Shape | None]) -> None:
        self.pods = {uid: shape for uid, shape in pods.items() if shape}

    def put_pod(self, uid: str, shape: Shape | None) -> None:
        self.replace_pods({**self.pods, uid: shape})

    def drop_pod(self, uid: str) -> None:
        self.pods.pop(uid, None)

    def replace_namespaces(self, namespaces: dict[str, dict[str, str]]) -> None:
        self.namespaces = namespaces

    def put_namespace(self, name: str, labels: dict[str, str] | None) -> None:
        others = {other: found for other, found in self.namespaces.items() if other != name}
        self.namespaces = others if labels is None else {**others, name: labels}

    def put_policies(self, policies: list[OOMPolicy]) -> None:
        self.policies = {each.name: each for each in policies}

    def matched(self, name: str) -> int:
        if name not in self.policies:
            return 0
        alone = self._resolver([self.policies[name]])
        return sum(alone.assign(each).policy == name for each in self._pods())

    def decided(self, name: str) -> int:
        resolver = self._resolver(list(self.policies.values()))
        return sum(resolver.assign(each).policy == name for each in self._pods())

    def overlapping(self, name: str) -> tuple[str, ...]:
        resolver = self._resolver(list(self.policies.values()))
        found: set[str] = set()
        for each in self._pods():
            assignment = resolver.assign(each)
            tied = {str(assignment.policy), *assignment.overlapping}
            found |= tied if name in tied else set()
        return tuple(sorted(found - {name}))

    def _resolver(self, policies: list[OOMPolicy]) -> Resolver:
        return Resolver(policies, [Namespace(name, labels) for name, labels in self.namespaces.items()])

    def _pods(self) -> list[Pod]:
        return [
            pod(
                name=uid,
                namespace=each.namespace,
                labels=dict(each.labels),
                qos_class=each.qos_class,
                priority_class_name=each.priority_class_name,
            )
            for uid, each in self.pods.items()
        ]


def policies_of(chosen: dict[str, tuple[Match, int]]) -> list[OOMPolicy]:
    return [policy(name, match=match, precedence=precedence) for name, (match, precedence) in chosen.items()]


@settings(deadline=None)
@given(st.lists(_STEPS, max_size=12))
def test_the_census_equals_the_policy_models_matching(steps: list[tuple[Any, ...]]) -> None:
    """After each step, numbers and overlaps equal those of the model, and every changed policy is reported."""
    made, model = Census(), Model()
    known: dict[str, tuple[int, int, tuple[str, ...]]] = dict.fromkeys(("p0", "p1", "p2"), (0, 0, ()))
    for name, *arguments in steps:
        converted = [policies_of(arguments[0])] if name == "put_policies" else arguments
        getattr(made, name)(*converted)
        getattr(model, name)(*converted)
        changed = made.changed()
        for each, before in known.items():
            now = (made.matched(each), made.decided(each), made.overlapping(each))
            assert (model.matched(each), model.decided(each), model.overlapping(each)) == now
            assert each in changed or now == before
            known[each] = now
        assert len(model.pods) == made.pods

# SPDX-License-Identifier: Apache-2.0
"""Policies select by some labels of a pod with many, and these labels are kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oompolicy.labels import FEW, Kept, LabelFilter
from oompolicy.model import LabelSelector, Match, OOMPolicy, Operator, Requirement
from oompolicy.resolve.matching import matches_pod
from tests.unit.policy.factories import pod, policy

MANY = {f"example.com/l{number}": "x" for number in range(9_000)}


def asking(*keys: str) -> OOMPolicy:
    """Each kind of requirement asks for a key."""
    requirements = tuple(Requirement(key, Operator.DOES_NOT_EXIST) for key in keys)
    return policy("p", match=Match(pod_selector=LabelSelector(requirements)))


class Reader:
    """A counter of the times that everything has to be read again."""

    def __init__(self, *asked: str) -> None:
        self.label_filter = LabelFilter()
        self.times = 0
        self.label_filter.read_again = self.read
        self.label_filter.set_policies([asking(*asked)])

    def read(self) -> None:
        self.times += 1


@pytest.mark.parametrize("labels", [{}, {"app": "web"}, {f"l{number}": "" for number in range(FEW)}])
def test_few_labels_are_all_kept(labels: dict[str, str]) -> None:
    """The policies do not matter, so usual pods are never read again."""
    reader = Reader()
    kept = reader.label_filter.kept(labels)
    reader.label_filter.set_policies([asking("app")])

    assert (Kept(labels, None), 0) == (kept, reader.times)


@pytest.mark.parametrize("labels", [MANY, {f"example.com/{'l' * 60}{number}": "x" * 63 for number in range(FEW)}])
def test_of_many_or_long_labels_the_selected_ones_are_kept(labels: dict[str, str]) -> None:
    """More labels do not take a pod out of its policy."""
    reader = Reader("app", "tier")
    kept = reader.label_filter.kept({**labels, "app": "web"})

    assert Kept({"app": "web"}, frozenset({"app", "tier"})) == kept


KEYS = st.sampled_from(["app", "tier", "team"])
TEXTS = st.sampled_from(["a", "b"])
REQUIREMENTS = st.builds(
    lambda key, operator, values: Requirement(
        key, operator, values if operator in (Operator.IN, Operator.NOT_IN) else frozenset()
    ),
    KEYS,
    st.sampled_from(Operator),
    st.frozensets(TEXTS, min_size=1),
)


@given(st.lists(st.lists(REQUIREMENTS, max_size=3), max_size=3), st.dictionaries(KEYS, TEXTS))
def test_the_kept_labels_match_as_all_labels_do(asked: list[list[Requirement]], labels: dict[str, str]) -> None:
    """More labels never change a pod's priority, for any selectors."""
    policies = [policy("p", match=Match(pod_selector=LabelSelector(tuple(each)))) for each in asked]
    reader = LabelFilter()
    reader.set_policies(policies)
    whole, kept = (pod(labels=each) for each in ({**MANY, **labels}, reader.kept({**MANY, **labels}).labels))

    assert [matches_pod(each.match, whole) for each in policies] == [matches_pod(each.match, kept) for each in policies]


def test_a_new_key_makes_all_pods_be_read_again() -> None:
    """This happens only if labels were left out, and not if policies use fewer keys."""
    reader = Reader("app", "tier")
    reader.label_filter.set_policies([asking("app", "other")])
    assert 0 == reader.times
    reader.label_filter.kept(MANY)
    reader.label_filter.set_policies([asking("app")])
    reader.label_filter.set_policies([policy("everything")])
    assert 0 == reader.times
    reader.label_filter.set_policies([asking("app")])

    assert 1 == reader.times
    assert {"app": "web"} == reader.label_filter.kept({**MANY, "app": "web"}).labels

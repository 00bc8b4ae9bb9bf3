# SPDX-License-Identifier: Apache-2.0
"""What comes in is noted, and a look says which policies it concerns."""

from __future__ import annotations

from oompolicy.controller.matcher import Shape
from oompolicy.controller.nodetable import Said
from oompolicy.controller.policystatus import Found
from oompolicy.controller.state import State
from oompolicy.model import QOSClass
from tests.unit.controller.raws import raw_policy

TEAM_A = {"namespaceSelector": {"matchLabels": {"team": "a"}}}


def shape(namespace: str = "shop") -> Shape:
    return Shape(namespace, (), QOSClass.BURSTABLE, None)


def listed(*policies: str, pods: int = 0) -> State:
    state = State()
    state.policies_listed([raw_policy(name) for name in policies], [])
    state.pods_listed({f"pod-{number}": shape() for number in range(pods)})
    state.namespaces_listed({"ns": ("shop", {"team": "a"})})
    state.nodes_listed({"u1": "n1"})
    state.oomnodes_listed({})
    state.look()
    return state


def test_nothing_is_true_until_all_is_listed() -> None:
    """Each collection by itself."""
    state = State()
    assert {"policies", "pods", "namespaces", "nodes", "oomnodes"} == state.unlisted

    assert frozenset() == listed().unlisted


def test_a_pod_concerns_the_policies_that_match_it() -> None:
    """And the numbers are right after the look."""
    state = listed("a", pods=2)
    state.policy(raw_policy("b", match=TEAM_A, precedence=5))
    assert {"a", "b"} == state.look()
    state.census.put_pod("new", shape("elsewhere"))

    assert {"a"} == state.look()
    assert (Found(3, 0, ()), Found(2, 0, ())) == (state.found("a"), state.found("b"))
    assert set() == state.look()


def test_a_namespaces_labels_concern_the_pods_in_it() -> None:
    """Also when it is deleted, and made anew under its name before that was heard of."""
    state = listed("a", pods=1)
    state.policy(raw_policy("b", match=TEAM_A, precedence=5))
    state.look()
    state.namespace("ns", ("shop", {"team": "b"}))
    assert {"b"} == state.look() - {"a"}
    assert 0 == state.found("b").matched

    state.namespace_deleted("ns")
    state.namespace("ns2", ("shop", {"team": "a"}))
    state.namespace_deleted("ns")
    state.look()
    assert 1 == state.found("b").matched


def test_a_node_without_oomnode_is_missing_one_until_it_is_heard_of() -> None:
    """And again when that goes."""
    state = listed()
    assert {"n1": "u1"} == state.missing
    state.oomnode("o1", Said("n1", "", ""))
    state.look()
    assert {} == state.missing

    state.oomnode_deleted("o1")
    state.node("u2", "n2")
    state.node_deleted("u1")
    state.look()
    assert {"n2": "u2"} == state.missing


def test_what_a_node_applies_concerns_all_policies() -> None:
    """But not what else it says."""
    state = listed("a", "b")
    state.oomnode("o1", Said("n1", "EvaluateTask", state.policies.current_hash))
    assert {"a", "b"} == state.look()
    assert 1 == state.found("a").applied

    state.oomnode("o1", Said("n1", "ObserveOnly", state.policies.current_hash))
    assert set() == state.look()
    assert {"ObserveOnly": 1, "Unknown": 0} == state.backends


def test_a_set_that_nodes_applied_before_it_was_known_counts() -> None:
    """The agents may be faster than we are."""
    ahead, state = listed("a", "b"), listed("a")
    state.oomnode("o1", Said("n1", "", ahead.policies.current_hash))
    state.look()
    assert 0 == state.found("a").applied
    state.policy(raw_policy("b"))
    state.look()

    assert (1, 1) == (state.found("a").applied, state.found("b").applied)


def test_a_list_finds_what_has_gone() -> None:
    """But not what came while it was asked for."""
    state = listed("a", "b")
    before = [known.uid for known in state.policies.known.values()]
    state.policy(raw_policy("c"))
    state.policies_listed([raw_policy("b")], before)

    assert {"a", "b", "c"} == state.look()
    assert {"b", "c"} == set(state.policies.known)


def test_a_deleted_policy_is_named_once_more() -> None:
    """So that nothing of it is kept."""
    state = listed("a")
    state.policy_deleted("a", "uid-a")

    assert {"a"} == state.look()
    assert {} == state.policies.known

# SPDX-License-Identifier: Apache-2.0
"""The state records changes, and an evaluation returns the policies that they concern."""

from __future__ import annotations

from oompolicy.controller.heartbeats import Heartbeat, SilentReason
from oompolicy.controller.matcher import Shape
from oompolicy.controller.nodetable import Node, NodeCondition, NodeReport
from oompolicy.controller.policystatus import PolicyCounts
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
    state.nodes_listed({"u1": Node("n1")})
    state.oomnodes_listed({})
    state.evaluate()
    return state


def test_a_collection_is_unlisted_until_its_list() -> None:
    """Each collection has its own list."""
    state = State()
    assert {"policies", "pods", "namespaces", "nodes", "oomnodes"} == state.unlisted

    assert frozenset() == listed().unlisted


def test_a_pod_concerns_the_policies_that_match_it() -> None:
    """The numbers are right after the evaluation."""
    state = listed("a", pods=2)
    state.policy(raw_policy("b", match=TEAM_A, precedence=5))
    assert {"a", "b"} == state.evaluate()
    state.census.put_pod("new", shape("elsewhere"))

    assert {"a"} == state.evaluate()
    assert PolicyCounts(3, 1, 0, ()) == state.counts("a")
    assert PolicyCounts(2, 2, 0, ()) == state.counts("b")
    assert set() == state.evaluate()


def test_the_labels_of_a_namespace_concern_its_pods() -> None:
    """A namespace may be deleted and created again under its name before the deletion is received."""
    state = listed("a", pods=1)
    state.policy(raw_policy("b", match=TEAM_A, precedence=5))
    state.evaluate()
    state.namespace("ns", ("shop", {"team": "b"}))
    assert {"b"} == state.evaluate() - {"a"}
    assert 0 == state.counts("b").matched

    state.namespace_deleted("ns")
    state.namespace("ns2", ("shop", {"team": "a"}))
    state.namespace_deleted("ns")
    state.evaluate()
    assert 1 == state.counts("b").matched


def test_an_oomnode_is_missing_until_its_event() -> None:
    """It is missing again after its deletion."""
    state = listed()
    assert {"n1": "u1"} == state.missing
    state.oomnode("o1", NodeReport("n1", "", ""))
    state.evaluate()
    assert {} == state.missing

    state.oomnode_deleted("o1")
    state.node("u2", Node("n2"))
    state.node_deleted("u1")
    state.evaluate()
    assert {"n2": "u2"} == state.missing


def test_the_policy_hash_of_a_node_concerns_all_policies() -> None:
    """The other fields of the report concern no policy."""
    state = listed("a", "b")
    state.oomnode("o1", NodeReport("n1", "EvaluateTask", state.policies.current_hash))
    assert {"a", "b"} == state.evaluate()
    assert 1 == state.counts("a").applied

    state.oomnode("o1", NodeReport("n1", "ObserveOnly", state.policies.current_hash))
    assert set() == state.evaluate()
    assert {"ObserveOnly": 1, "Unknown": 0} == state.backends


def test_a_set_that_nodes_applied_first_is_counted() -> None:
    """Agents may receive a policy before the operator does."""
    ahead, state = listed("a", "b"), listed("a")
    state.oomnode("o1", NodeReport("n1", "", ahead.policies.current_hash))
    state.evaluate()
    assert 0 == state.counts("a").applied
    state.policy(raw_policy("b"))
    state.evaluate()

    assert 1 == state.counts("a").applied
    assert 1 == state.counts("b").applied


def test_a_list_deletes_the_policies_that_it_lacks() -> None:
    """A policy that was added after the request of the list is kept."""
    state = listed("a", "b")
    before = [record.uid for record in state.policies.records.values()]
    state.policy(raw_policy("c"))
    state.policies_listed([raw_policy("b")], before)

    assert {"a", "b", "c"} == state.evaluate()
    assert {"b", "c"} == set(state.policies.records)


def test_an_evaluation_returns_a_deleted_policy_once() -> None:
    """The loop then removes its metrics and its schedule."""
    state = listed("a")
    state.policy_deleted("a", "uid-a")

    assert {"a"} == state.evaluate()
    assert {} == state.policies.records


CLAIM = NodeCondition("Enforcing", "True", "Attached", "2026-11-28T05:00:00Z")
MARK = NodeCondition("Enforcing", "Unknown", "AgentSilent", "2026-11-28T05:11:00Z")


def report(time: str, policy_hash: str, condition: NodeCondition = CLAIM, boot: str = "b1") -> NodeReport:
    return NodeReport("n1", "EvaluateTask", policy_hash, (condition,), Heartbeat(time, boot), time)


def enforcing() -> State:
    state = State(silent_after=600)
    state.policies_listed([raw_policy("a")], [])
    state.pods_listed({})
    state.namespaces_listed({})
    state.nodes_listed({"u1": Node("n1", "b1")})
    state.oomnodes_listed({"o1": report("t1", state.policies.current_hash)})
    state.evaluate()
    return state


def test_a_silent_node_applies_no_policy() -> None:
    """It has to be marked until its event shows the mark. A heartbeat makes it count again."""
    state = enforcing()
    assert 1 == state.counts("a").applied
    state.heartbeats.listen(600)
    assert {"a"} == state.evaluate()
    assert 0 == state.counts("a").applied
    assert {"EvaluateTask": 0, "Unknown": 1} == {"EvaluateTask": 0, **state.backends}
    assert {"o1": SilentReason.AGENT_SILENT} == state.unmarked

    state.oomnode("o1", report("t1", state.policies.current_hash, MARK))
    state.evaluate()
    assert {} == state.unmarked
    assert 1 == state.silent

    state.oomnode("o1", report("t2", state.policies.current_hash))
    assert {"a"} == state.evaluate()
    assert 1 == state.counts("a").applied
    assert 0 == state.silent


def test_a_rebooted_node_applies_no_policy() -> None:
    """The Node reports the boot before any agent does."""
    state = enforcing()
    state.node("u1", Node("n1", "b2"))
    state.evaluate()
    assert 0 == state.counts("a").applied
    assert {"o1": SilentReason.NODE_REBOOTED} == state.unmarked

    state.oomnode("o1", report("t2", state.policies.current_hash, boot="b2"))
    state.evaluate()
    assert 1 == state.counts("a").applied
    assert {} == state.unmarked


def test_a_mark_of_an_earlier_operator_counts() -> None:
    """An operator that has just started has judged nothing yet, and does not write the mark again."""
    state = enforcing()
    state.oomnodes_listed({"o1": report("t1", state.policies.current_hash, MARK)})
    state.evaluate()

    assert 0 == state.counts("a").applied
    assert {} == state.unmarked


def test_a_new_list_keeps_the_time_of_silence() -> None:
    """A watch that ends is followed by a list, and a list is no sign of life."""
    state = enforcing()
    for _ in range(2):
        state.heartbeats.listen(300)
        state.nodes_listed({"u1": Node("n1", "b1")})
        state.oomnodes_listed({"o1": report("t1", state.policies.current_hash)})
    state.evaluate()

    assert 1 == state.silent


def test_a_mark_refused_because_of_a_newer_version_is_tried_again() -> None:
    """A user may label the OOMNode at that moment, which is no sign of life."""
    state = enforcing()
    state.heartbeats.listen(600)
    state.evaluate()
    state.unmarked.clear()
    state.oomnode("o1", report("t1", state.policies.current_hash)._replace(version="labelled"))
    state.evaluate()

    assert {"o1": SilentReason.AGENT_SILENT} == state.unmarked

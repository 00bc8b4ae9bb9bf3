# SPDX-License-Identifier: Apache-2.0
"""Of each object only what counts is kept."""

from __future__ import annotations

from typing import Any

import pytest

from oompolicy.controller import watches
from oompolicy.controller.matcher import Shape
from oompolicy.controller.nodetable import Said
from oompolicy.controller.state import State
from oompolicy.controller.watches import labels_of, said_by, shape_of
from oompolicy.model import QOSClass
from tests.unit.controller.raws import raw_policy


def raw_pod(phase: str = "Running", **status: str) -> dict[str, Any]:
    return {
        "metadata": {"uid": "u", "name": "web-0", "namespace": "shop", "labels": {"b": "2", "a": "1"}},
        "spec": {"priorityClassName": "critical", "containers": [{"name": "web"}]},
        "status": {"phase": phase, **status},
    }


def test_a_pods_shape_is_what_a_policy_can_match_by() -> None:
    """With the labels in order, whatever order they came in."""
    expected = Shape("shop", (("a", "1"), ("b", "2")), QOSClass.GUARANTEED, "critical")

    assert expected == shape_of(raw_pod(qosClass="Guaranteed"))


def test_pods_of_one_shape_share_it() -> None:
    """As one object, whatever their number."""
    assert shape_of(raw_pod(qosClass="Burstable")) is shape_of(raw_pod(qosClass="Burstable"))


def test_a_shape_that_no_pod_has_is_forgotten() -> None:
    """One pod whose labels change all the time does not fill the memory; what is held is shared."""
    held = shape_of(raw_pod(qosClass="Burstable"))
    before = len(watches._shared)
    for number in range(100):
        raw = raw_pod(qosClass="Burstable")
        raw["metadata"]["labels"] = {"changes": str(number)}
        shape_of(raw)

    assert before == len(watches._shared)
    assert held is shape_of(raw_pod(qosClass="Burstable"))


def test_only_labels_that_count_are_in_the_shape_of_a_pod_with_many() -> None:
    """The state of the operator says which."""
    raw, state = raw_pod(qosClass="Burstable"), State()
    raw["metadata"]["labels"] = {"a": "1", **{f"l{number}": "x" for number in range(9_000)}}
    state.policies_listed([raw_policy(match={"podSelector": {"matchLabels": {"a": "1"}}})], [])
    state.look()
    shape = shape_of(raw, state.asked.kept)

    assert shape is not None
    assert (("a", "1"),) == shape.labels


def test_pods_are_listed_again_when_a_policy_asks_for_another_label() -> None:
    """Where labels of one were left out."""
    state, times = State(), []
    state.asked.again = lambda: times.append(1)
    state.asked.kept({f"l{number}": "x" for number in range(9_000)})
    state.policies_listed([raw_policy(match={"podSelector": {"matchLabels": {"a": "1"}}})], [])
    state.look()

    assert [1] == times


def test_a_pod_without_class_has_the_one_it_would_get() -> None:
    """By its resources, of which this one has none."""
    shape = shape_of(raw_pod())

    assert shape is not None
    assert QOSClass.BEST_EFFORT == shape.qos_class


@pytest.mark.parametrize(("owner", "static"), [("node-1", True), ("node-2", False)])
def test_a_static_pod_has_a_shape_of_its_own(owner: str, static: bool) -> None:
    """Most policies are not for it. The node that it is on has to be its owner."""
    raw = raw_pod(qosClass="Burstable")
    raw["spec"]["nodeName"] = "node-1"
    raw["metadata"] |= {
        "creationTimestamp": "2026-11-28T00:00:00Z",
        "annotations": {"kubernetes.io/config.mirror": "77bb42"},
        "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": owner, "controller": True}],
    }
    shape = shape_of(raw)

    assert shape is not None
    assert static is shape.static


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_finished_pod_has_no_shape(phase: str) -> None:
    """Nothing of it can be killed any more."""
    assert shape_of(raw_pod(phase, qosClass="Burstable")) is None


def test_a_namespace_has_its_name_and_labels() -> None:
    """Which may be none."""
    assert ("shop", {"a": "1"}) == labels_of({"metadata": {"name": "shop", "labels": {"a": "1"}}})
    assert ("shop", {}) == labels_of({"metadata": {"name": "shop"}})


def test_an_oomnode_says_its_backend_and_what_it_applies() -> None:
    """Nothing, before its agent has written."""
    status = {"backend": "EvaluateTask", "policyHash": "aa"}

    assert Said("n1", "EvaluateTask", "aa") == said_by({"metadata": {"name": "n1"}, "status": status})
    assert Said("n1", "", "") == said_by({"metadata": {"name": "n1"}})

# SPDX-License-Identifier: Apache-2.0
"""Each object is reduced to its relevant part."""

from __future__ import annotations

from typing import Any

import pytest

from oompolicy.controller import watches
from oompolicy.controller.heartbeats import Heartbeat
from oompolicy.controller.matcher import Shape
from oompolicy.controller.nodetable import Node, NodeCondition, NodeReport, NodeSpec
from oompolicy.controller.state import State
from oompolicy.controller.watches import labels_of, node_of, node_report, shape_of
from oompolicy.model import QOSClass
from tests.unit.controller.raws import raw_policy


def raw_pod(phase: str = "Running", **status: str) -> dict[str, Any]:
    return {
        "metadata": {"uid": "u", "name": "web-0", "namespace": "shop", "labels": {"b": "2", "a": "1"}},
        "spec": {"priorityClassName": "critical", "containers": [{"name": "web"}]},
        "status": {"phase": phase, **status},
    }


def test_the_shape_of_a_pod_has_all_fields_that_a_match_uses() -> None:
    """The labels are sorted."""
    expected = Shape("shop", (("a", "1"), ("b", "2")), QOSClass.GUARANTEED, "critical")

    assert expected == shape_of(raw_pod(qosClass="Guaranteed"))


def test_pods_of_one_shape_share_one_object() -> None:
    """The shapes of two pods are the same object."""
    assert shape_of(raw_pod(qosClass="Burstable")) is shape_of(raw_pod(qosClass="Burstable"))


def test_a_shape_without_pods_is_freed() -> None:
    """Otherwise a pod that changes its labels again and again would fill the memory. A shape in use stays shared."""
    held = shape_of(raw_pod(qosClass="Burstable"))
    before = len(watches._shared)
    for number in range(100):
        raw = raw_pod(qosClass="Burstable")
        raw["metadata"]["labels"] = {"changes": str(number)}
        shape_of(raw)

    assert before == len(watches._shared)
    assert held is shape_of(raw_pod(qosClass="Burstable"))


def test_the_shape_of_a_pod_with_many_labels_has_only_the_selected_ones() -> None:
    """The state of the operator has the labels that policies select by."""
    raw, state = raw_pod(qosClass="Burstable"), State()
    raw["metadata"]["labels"] = {"a": "1", **{f"l{number}": "x" for number in range(9_000)}}
    state.policies_listed([raw_policy(match={"podSelector": {"matchLabels": {"a": "1"}}})], [])
    state.evaluate()
    shape = shape_of(raw, lambda labels: state.label_filter.kept(labels).labels)

    assert shape is not None
    assert (("a", "1"),) == shape.labels


def test_pods_are_listed_again_if_a_policy_selects_by_a_dropped_label() -> None:
    """Labels are dropped only for a pod with many labels."""
    state, times = State(), []
    state.label_filter.read_again = lambda: times.append(1)
    state.label_filter.kept({f"l{number}": "x" for number in range(9_000)})
    state.policies_listed([raw_policy(match={"podSelector": {"matchLabels": {"a": "1"}}})], [])
    state.evaluate()

    assert [1] == times


def test_a_pod_without_qos_class_gets_it_from_its_resources() -> None:
    """A pod without resources is BestEffort."""
    shape = shape_of(raw_pod())

    assert shape is not None
    assert QOSClass.BEST_EFFORT == shape.qos_class


@pytest.mark.parametrize(("owner", "static"), [("node-1", True), ("node-2", False)])
def test_a_pod_is_static_only_if_its_own_node_owns_it(owner: str, static: bool) -> None:
    """Most policies do not match static pods."""
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
    """A finished pod has no process left to kill."""
    assert shape_of(raw_pod(phase, qosClass="Burstable")) is None


def test_a_namespace_is_reduced_to_name_and_labels() -> None:
    """The labels may be absent."""
    assert ("shop", {"a": "1"}) == labels_of({"metadata": {"name": "shop", "labels": {"a": "1"}}})
    assert ("shop", {}) == labels_of({"metadata": {"name": "shop"}})


def test_a_node_is_reduced_to_name_and_boot() -> None:
    """The boot is empty before the kubelet has reported it."""
    info = {"bootID": "b1", "kernelVersion": "6.12"}

    assert Node("n1", "b1") == node_of({"metadata": {"name": "n1"}, "status": {"nodeInfo": info}})
    assert Node("n1", "") == node_of({"metadata": {"name": "n1"}, "status": {}})
    assert Node("n1", "") == node_of({"metadata": {"name": "n1"}})


def test_a_node_keeps_all_of_its_labels() -> None:
    """Programs that discover hardware give a Node more than a hundred labels, and settings may select by each."""
    labels = {f"feature.example.com/l{number}": "true" for number in range(200)}

    assert labels == node_of({"metadata": {"name": "n1", "labels": labels}}).labels


def managed(manager: str, *fields: str, operation: str = "Apply") -> dict[str, Any]:
    return {"manager": manager, "operation": operation, "fieldsV1": {"f:spec": {f"f:{each}": {} for each in fields}}}


@pytest.mark.parametrize(
    ("managers", "expected"),
    [
        ([managed("oompolicy-operator", "mode")], NodeSpec("Off", own=True)),
        ([managed("kubectl-patch", "mode", operation="Update")], NodeSpec("Off", others=("kubectl-patch",))),
        (
            [managed("oompolicy-operator", "mode"), managed("b", "mode"), managed("a", "mode"), managed("c", "other")],
            NodeSpec("Off", own=True, others=("a", "b")),
        ),
        ([{"manager": "oompolicy-agent", "fieldsV1": {"f:status": {"f:mode": {}}}}], NodeSpec("Off")),
        ([], NodeSpec("Off")),
    ],
)
def test_the_mode_of_an_oomnode_has_its_managers(managers: list[dict[str, Any]], expected: NodeSpec) -> None:
    """Only an owner of spec.mode counts, and not an owner of status.mode."""
    raw = {"metadata": {"name": "n1", "managedFields": managers}, "spec": {"mode": "Off"}, "status": {"mode": "Audit"}}

    assert (expected, "Audit") == (node_report(raw).spec, node_report(raw).mode)


def test_an_oomnode_without_a_mode_has_no_managers() -> None:
    """A manager may own the empty spec."""
    raw = {"metadata": {"name": "n1", "managedFields": [managed("kubectl")]}, "spec": {}}

    assert NodeSpec() == node_report(raw).spec


def test_an_oomnode_is_reduced_to_its_heartbeat_and_conditions() -> None:
    """The messages of conditions are left out, because a message may be a kilobyte."""
    condition = {"type": "Ready", "status": "True", "reason": "Ready", "message": "m", "lastTransitionTime": "t"}
    status = {"lastHeartbeatTime": "t2", "bootID": "b1", "conditions": [condition]}
    expected = NodeReport("n1", "", "", (NodeCondition("Ready", "True", "Ready", "t"),), Heartbeat("t2", "b1"), "7")

    assert expected == node_report({"metadata": {"name": "n1", "resourceVersion": "7"}, "status": status})


def test_an_oomnode_is_reduced_to_backend_and_policy_hash() -> None:
    """Both are empty before the agent has written a status."""
    status = {"backend": "EvaluateTask", "policyHash": "aa"}

    assert NodeReport("n1", "EvaluateTask", "aa") == node_report({"metadata": {"name": "n1"}, "status": status})
    assert NodeReport("n1", "", "") == node_report({"metadata": {"name": "n1"}})

# SPDX-License-Identifier: Apache-2.0
"""A container gets the score that the kubelet gives to it."""

import pytest

from oompolicy.model import Pod
from oompolicy.order.stock import score_of
from oompolicy.parse import parse_pod
from tests.unit.policy.factories import raw_pod

CAPACITY = 10 << 30


def burstable(*requests: str, sidecar: str = "") -> Pod:
    containers = [
        {"name": f"c{number}", "resources": {"requests": {"memory": request}}}
        for number, request in enumerate(requests)
    ]
    sidecars = [{"name": "proxy", "restartPolicy": "Always", "resources": {"requests": {"memory": sidecar}}}]
    return parse_pod(raw_pod(containers=containers, initContainers=sidecars if sidecar else []))


@pytest.mark.parametrize(("request_", "score"), [("1Gi", 900), ("1Mi", 999), ("20Gi", 3), ("10Gi", 3), ("9980Mi", 26)])
def test_a_burstable_container_gets_less_for_a_larger_request(request_: str, score: int) -> None:
    """The score stays between those of Guaranteed and BestEffort."""
    assert score == score_of(burstable(request_), "c0", CAPACITY)


def test_classes_without_a_formula() -> None:
    """BestEffort pods are at one end, and Guaranteed and node-critical pods at the other."""
    critical = parse_pod(raw_pod(priorityClassName="system-node-critical"))
    resources = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"cpu": "1", "memory": "1Gi"}}
    guaranteed = parse_pod(raw_pod(containers=[{"name": "app", "resources": resources}]))

    assert [1000, -997, -997] == [
        score_of(pod, "app", CAPACITY) for pod in (parse_pod(raw_pod()), critical, guaranteed)
    ]


def test_a_sidecar_is_at_least_as_safe_as_the_smallest_container() -> None:
    """The kubelet takes the smallest request of the regular containers, if that is larger than its own."""
    pod = burstable("2Gi", "1Gi", sidecar="512Mi")

    assert [800, 900, 900] == [score_of(pod, name, CAPACITY) for name in ("c0", "c1", "proxy")]


def test_a_pod_as_a_whole_has_the_score_of_its_least_safe_container() -> None:
    assert 900 == score_of(burstable("2Gi", "1Gi"), None, CAPACITY)

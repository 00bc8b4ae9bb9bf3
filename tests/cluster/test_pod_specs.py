# SPDX-License-Identifier: Apache-2.0
"""A hand-written pod is read as the API server stores it: QoS class, memory request, and odd quantities."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from oompolicy.kube.errors import ApiError
from oompolicy.parse import InvalidObject, parse_pod, read_pod
from tests.cluster import objects

if TYPE_CHECKING:
    from tests.cluster.cluster import Cluster

FULL = {"cpu": "1", "memory": "1Gi"}
Spec = dict[str, Any]


def container(requests: object = None, limits: object = None, **more: object) -> dict[str, Any]:
    resources = {"requests": requests, "limits": limits}
    return {"name": "app", "image": "i", "resources": {k: v for k, v in resources.items() if v is not None}, **more}


ACCEPTED: list[Spec] = [
    {"containers": [container()]},
    {"containers": [container({"memory": "1e000"})]},
    {"containers": [container({"memory": "1e009", "cpu": "1e-3"})]},
    {"containers": [container({"memory": "1e400"})]},
    {"containers": [container({"memory": "1e4294967296"})]},
    {"containers": [container({"memory": " 512Mi ", "cpu": "Mi"})]},
    {"containers": [container({"memory": "9Ei"}, {"memory": "9Ei"})]},
    {"containers": [container({"memory": None, "cpu": "."}, {"memory": "64Mi"})]},
    {"containers": [container({"memory": 1073741824, "cpu": 0.5})]},
    {"containers": [container({"cpu": "0.2501", "memory": "1Gi"}, {"cpu": "0.2509", "memory": "1Gi"})]},
    {"containers": [container({"cpu": "0.2499", "memory": "1Gi"}, {"cpu": "0.2509", "memory": "1Gi"})]},
    {"containers": [container(None, FULL)], "initContainers": [{**container(None, FULL), "name": "init"}]},
    {"containers": [container(None, FULL)], "initContainers": [{**container(), "name": "init"}]},
    {"containers": [container({"cpu": "1"}, {"hugepages-2Mi": "4Mi", "cpu": "1"})]},
    {"containers": [container()], "resources": {"limits": FULL}},
    {"containers": [container({"memory": "10Mi"})], "resources": {"limits": FULL}},
    {"containers": [container({"memory": "10Mi", "cpu": "1"})], "resources": {"limits": {"hugepages-2Mi": "4Mi"}}},
    {"containers": [container({"cpu": "1"})], "resources": {"requests": {"memory": "20Mi"}}},
    {"containers": [container({"cpu": "1"})], "resources": {}},
]


@pytest.mark.parametrize("spec", ACCEPTED, ids=str)
def test_a_pod_is_read_as_the_api_server_stores_it(session_cluster: Cluster, spec: Spec) -> None:
    """All fields of the stored pod can be read, and have the values of the written pod."""
    written = objects.pod("default", "written")
    written["spec"] |= spec
    stored = read_pod(session_cluster.api.create(written, dryRun="All"))
    read = parse_pod(written, stand_in_uid=True)

    assert () == stored.unread
    assert (stored.qos_class, stored.memory_request) == (read.qos_class, read.memory_request)


@pytest.mark.parametrize("quantity", ["1Q", "1 Mi", "", "five", "1e", "e-10", "-1", True, [1]], ids=str)
def test_a_quantity_that_is_refused_is_refused_by_both(session_cluster: Cluster, quantity: object) -> None:
    written = objects.pod("default", "written")
    written["spec"]["containers"] = [container({"memory": quantity})]

    with pytest.raises(ApiError):
        session_cluster.api.create(written, dryRun="All")
    with pytest.raises(InvalidObject):
        parse_pod(written, stand_in_uid=True)

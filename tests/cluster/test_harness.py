# SPDX-License-Identifier: Apache-2.0
"""The cluster of the tests behaves as the other tests expect."""

from __future__ import annotations

import json
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from oompolicy.kube.errors import ApiError, UnreachableError
from tests.cluster.errors import KubectlError
from tests.cluster.objects import collection

if TYPE_CHECKING:
    from tests.cluster.api import Api
    from tests.cluster.cluster import Cluster
    from tests.cluster.deployment import Deployment
    from tests.cluster.kubectl import Kubectl

CONTAINER_ID = "ab" * 32


def test_a_test_can_run_a_pod_on_a_node(api: Api) -> None:
    """The test acts as scheduler and kubelet. The API server sets QoS class and priority."""
    api.node("n1")
    api.namespace("shop", {"tier": "prod"})
    pod = api.pod("shop", "db", node="n1", limits={"cpu": "1", "memory": "1Gi"}, priority_class="system-node-critical")
    api.run(pod, {"app": CONTAINER_ID})

    (found,) = api.list("Pod", fieldSelector="spec.nodeName=n1")
    status = found["status"]
    assert ("Guaranteed", "Running") == (status["qosClass"], status["phase"])
    assert [f"containerd://{CONTAINER_ID}"] == [each["containerID"] for each in status["containerStatuses"]]
    assert 2_000_001_000 == found["spec"]["priority"]


def test_the_objects_of_a_test_are_deleted(api: Api) -> None:
    """The objects of the test before this one are gone, and their names can be used again."""
    assert ([], []) == (api.list("Node"), api.list("Pod"))
    assert "Active" == api.namespace("shop")["status"]["phase"]


def test_a_token_carries_the_node_of_its_pod(deployment: Deployment, cluster: Cluster) -> None:
    """Admission policies distinguish the agents by this claim."""
    cluster.api.node("n1")
    agent = cluster.kubectl_as(deployment.agent_kubeconfig("n1"))

    user = json.loads(agent("auth", "whoami", "-o", "json"))["status"]["userInfo"]
    assert "system:serviceaccount:oompolicy-system:oompolicy-agent" == user["username"]
    assert ["n1"] == user["extra"]["authentication.kubernetes.io/node-name"]


def test_a_token_ends_with_its_pod(deployment: Deployment, cluster: Cluster) -> None:
    """A copy of the token is not valid any more after a DaemonSet's pod is deleted."""
    cluster.api.node("n1")
    agent = cluster.api_as(deployment.agent_kubeconfig("n1"))
    (pod,) = cluster.api.list("Pod", "oompolicy-system")
    cluster.api.delete("Pod", pod["metadata"]["name"], "oompolicy-system")

    with pytest.raises(ApiError) as refused:
        agent.list("OOMPolicy")
    assert 401 == refused.value.status


def test_rbac_is_in_force(deployment: Deployment, cluster: Cluster) -> None:
    """A service account has the rights of its roles, and no others."""
    operator = cluster.api_as(deployment.operator_kubeconfig())

    assert [] == operator.list("OOMPolicy")
    with pytest.raises(ApiError) as refused:
        operator.list("ConfigMap")
    assert 403 == refused.value.status


def test_the_api_server_can_be_stopped_and_started(cluster: Cluster) -> None:
    """After the start, it has the same port and the same objects."""
    cluster.api.node("n1")
    cluster.stop_api()
    with pytest.raises(UnreachableError):
        cluster.api.list("Node")
    cluster.start_api()

    assert ["n1"] == [node["metadata"]["name"] for node in cluster.api.list("Node")]


def test_a_watch_can_be_made_to_expire(cluster: Cluster) -> None:
    """A client that resumes the watch gets 410, and has to list again."""
    api = cluster.api
    version = api.connection.request("GET", collection("Node"))["metadata"]["resourceVersion"]
    cluster.expire_watches()

    query = {"watch": "true", "resourceVersion": version}
    with closing(api.connection.stream(collection("Node"), query=query, read_timeout=30.0)) as events:
        event = next(iter(events))
    assert ("ERROR", 410) == (event["type"], event["object"]["code"])


def test_a_list_in_pages_expires_too(cluster: Cluster) -> None:
    """A client that has not read the last page gets 410, and has to list again."""
    api = cluster.api
    for name in ("n1", "n2"):
        api.node(name)
    query = {"limit": "1"}
    token = api.connection.request("GET", collection("Node"), query=query)["metadata"]["continue"]
    cluster.expire_watches()

    with pytest.raises(ApiError) as refused:
        api.connection.request("GET", collection("Node"), query={**query, "continue": token})
    assert 410 == refused.value.status


def test_a_guest_can_trust_the_api_server(kubectl: Kubectl) -> None:
    """The certificate also has the address by which a guest reaches this machine's loopback."""
    assert "ok" == kubectl("get", "--raw", "/readyz", "--tls-server-name=10.0.2.2")
    with pytest.raises(KubectlError, match="certificate is valid for"):
        kubectl("get", "--raw", "/readyz", "--tls-server-name=10.0.2.3")


def test_an_error_of_kubectl_has_its_message(kubectl: Kubectl) -> None:
    """KubectlError has the text of stderr, as a user reads it."""
    with pytest.raises(KubectlError, match=r'oompolicies\.oompolicy\.dev "no-such" not found'):
        kubectl("get", "oomp", "no-such")

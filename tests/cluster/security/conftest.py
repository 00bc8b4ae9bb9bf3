# SPDX-License-Identifier: Apache-2.0
"""Two nodes with a pod of `guarded-team` and an agent's pod each, and the users of the API server."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest

from oompolicy.kube.connection import apply
from tests.cluster.cleanup import clean_up
from tests.cluster.deployment import DEPLOY, NAMESPACE
from tests.cluster.objects import location
from tests.cluster.security.requests import AS_GUARDED_A, ON_GUARDED_A, PODS, is_allowed
from tests.cluster.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from oompolicy.kube.connection import Connection
    from tests.cluster.cluster import Cluster
from tests.cluster.deployment import Deployment

NODES: Final = {"guarded-a": "on-a", "guarded-b": "on-b"}
"""The pod of guarded-team on each node."""


@dataclass(frozen=True)
class Guarded:
    """The cluster with the objects that the tests of this folder use."""

    cluster: Cluster
    deployment: Deployment

    def connection(self, kubeconfig: Path) -> Connection:
        """Return a connection with the user of a kubeconfig."""
        return self.cluster.api_as(kubeconfig).connection


@pytest.fixture(scope="module")
def guarded(session_cluster: Cluster, session_deployment: Deployment) -> Iterator[Guarded]:
    """Make the objects once per module. Each test writes its own objects in addition."""
    cluster = session_cluster
    cluster.api.namespace("guarded-team")
    cluster.api.namespace("guarded-other")
    # The account may exist already, because no controller empties a deleted namespace here.
    nobody = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "nobody"}}
    apply(cluster.api.connection, location("ServiceAccount", "nobody", "guarded-team"), nobody, manager="test")
    for node, pod in NODES.items():
        cluster.api.node(node)
        cluster.api.pod("guarded-team", pod, node=node, labels={"app": "web"})
        cluster.api.create({"apiVersion": "oompolicy.dev/v1alpha1", "kind": "OOMNode", "metadata": {"name": node}})
    yield Guarded(cluster, session_deployment)
    clean_up(cluster.api)


@pytest.fixture(scope="module")
def admin(guarded: Guarded) -> Connection:
    """Return a connection of a user that may do everything."""
    return guarded.cluster.api.connection


@pytest.fixture(scope="module")
def agent(guarded: Guarded) -> Connection:
    """Return a connection of the agent of guarded-a."""
    return guarded.connection(guarded.deployment.agent_kubeconfig("guarded-a"))


@pytest.fixture(scope="module")
def other_agent(guarded: Guarded) -> Connection:
    """Return a connection of the agent of guarded-b."""
    return guarded.connection(guarded.deployment.agent_kubeconfig("guarded-b"))


@pytest.fixture(scope="module")
def unbound_agent(guarded: Guarded) -> Connection:
    """Return a connection of the agents' service account, with a token that is bound to no pod."""
    return guarded.connection(guarded.cluster.kubeconfig(NAMESPACE, "oompolicy-agent"))


@pytest.fixture(scope="module")
def operator(guarded: Guarded) -> Connection:
    """Return a connection of the operator."""
    return guarded.connection(guarded.deployment.operator_kubeconfig())


@pytest.fixture(scope="module")
def anybody(guarded: Guarded) -> Connection:
    """Return a connection of a service account without any roles."""
    return guarded.connection(guarded.cluster.kubeconfig("guarded-team", "nobody"))


@pytest.fixture
def policy(guarded: Guarded, name: str) -> str:
    """Create a policy that matches no pods of other tests, and return its name."""
    match = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "guarded-team"}}}
    spec = {"match": match, "priority": {"value": 500}}
    guarded.cluster.api.create(
        {"apiVersion": "oompolicy.dev/v1alpha1", "kind": "OOMPolicy", "metadata": {"name": name}, "spec": spec}
    )
    return name


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """Return a name for an object that only this test writes."""
    return re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")


@pytest.fixture(scope="class")
def all_pods(guarded: Guarded, agent: Connection) -> Iterator[None]:
    """Use the rules for clusters before 1.36, in place of those of all other tests."""
    swap_rules(guarded.cluster, agent, "agent-pods-impersonated.yaml", "agent-pods.yaml")
    yield
    swap_rules(guarded.cluster, agent, "agent-pods.yaml", "agent-pods-impersonated.yaml")


def swap_rules(cluster: Cluster, agent: Connection, old: str, new: str) -> None:
    """Replace the rules, and wait until they are in force. The API server caches an allowed impersonation for 10 s."""
    cluster.kubectl("delete", "-f", str(DEPLOY / old))
    cluster.kubectl("apply", "--server-side", "-f", str(DEPLOY / new))
    impersonated = new == "agent-pods-impersonated.yaml"
    eventually(lambda: reads_pods(agent), lambda seen: seen == (not impersonated, impersonated))


def reads_pods(agent: Connection) -> tuple[bool, bool]:
    """Return whether the agent may list pods in its own name, and whether in its node's."""

    def listing(in_name: dict[str, str]) -> bool:
        return is_allowed(lambda: agent.request("GET", PODS, query=ON_GUARDED_A, headers=in_name))

    return listing({}), listing(AS_GUARDED_A)

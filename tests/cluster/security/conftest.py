# SPDX-License-Identifier: Apache-2.0
"""Two nodes, with a pod of `guarded-team` and an agent's pod on each, and who speaks to the API server here."""

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
"""And the pod of guarded-team that is there."""


@dataclass(frozen=True)
class Guarded:
    """The cluster with the objects that the tests of this folder ask for."""

    cluster: Cluster
    deployment: Deployment

    def by(self, kubeconfig: Path) -> Connection:
        """Whoever that is."""
        return self.cluster.api_as(kubeconfig).connection


@pytest.fixture(scope="module")
def guarded(session_cluster: Cluster, session_deployment: Deployment) -> Iterator[Guarded]:
    """Made once per module: each test writes objects of its own."""
    cluster = session_cluster
    cluster.api.namespace("guarded-team")
    cluster.api.namespace("guarded-other")
    # Applied, not created: a service account outlives its namespace here, where nobody empties that.
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
    """Who may do everything."""
    return guarded.cluster.api.connection


@pytest.fixture(scope="module")
def agent(guarded: Guarded) -> Connection:
    """The agent of guarded-a."""
    return guarded.by(guarded.deployment.agent_kubeconfig("guarded-a"))


@pytest.fixture(scope="module")
def other_agent(guarded: Guarded) -> Connection:
    """The agent of guarded-b."""
    return guarded.by(guarded.deployment.agent_kubeconfig("guarded-b"))


@pytest.fixture(scope="module")
def unbound_agent(guarded: Guarded) -> Connection:
    """The agents' service account by a token that is bound to no pod."""
    return guarded.by(guarded.cluster.kubeconfig(NAMESPACE, "oompolicy-agent"))


@pytest.fixture(scope="module")
def operator(guarded: Guarded) -> Connection:
    """The operator."""
    return guarded.by(guarded.deployment.operator_kubeconfig())


@pytest.fixture(scope="module")
def anybody(guarded: Guarded) -> Connection:
    """A service account that nobody gave anything."""
    return guarded.by(guarded.cluster.kubeconfig("guarded-team", "nobody"))


@pytest.fixture
def policy(guarded: Guarded, name: str) -> str:
    """One that matches nothing that others count."""
    match = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "guarded-team"}}}
    spec = {"match": match, "priority": {"value": 500}}
    guarded.cluster.api.create(
        {"apiVersion": "oompolicy.dev/v1alpha1", "kind": "OOMPolicy", "metadata": {"name": name}, "spec": spec}
    )
    return name


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """For an object that this test alone writes."""
    return re.sub(r"[^a-z0-9]+", "-", request.node.name.lower()).strip("-")


@pytest.fixture(scope="class")
def all_pods(guarded: Guarded, agent: Connection) -> Iterator[None]:
    """The rules for clusters before 1.36, in place of those that all other tests have."""
    swap_rules(guarded.cluster, agent, "agent-pods-impersonated.yaml", "agent-pods.yaml")
    yield
    swap_rules(guarded.cluster, agent, "agent-pods.yaml", "agent-pods-impersonated.yaml")


def swap_rules(cluster: Cluster, agent: Connection, old: str, new: str) -> None:
    """Return when the API server goes by the new ones: it remembers for 10 s whom it has let impersonate."""
    cluster.kubectl("delete", "-f", str(DEPLOY / old))
    cluster.kubectl("apply", "--server-side", "-f", str(DEPLOY / new))
    impersonated = new == "agent-pods-impersonated.yaml"
    eventually(lambda: reads_pods(agent), lambda seen: seen == (not impersonated, impersonated))


def reads_pods(agent: Connection) -> tuple[bool, bool]:
    """Whether in its own name, and whether in its node's."""

    def listing(in_name: dict[str, str]) -> bool:
        return is_allowed(lambda: agent.request("GET", PODS, query=ON_GUARDED_A, headers=in_name))

    return listing({}), listing(AS_GUARDED_A)

# SPDX-License-Identifier: Apache-2.0
"""An agent may read the pods of its node in the name of the node, or, on an older cluster, all pods."""

from __future__ import annotations

from contextlib import closing
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import pytest

from tests.cluster.security.requests import AS_GUARDED_A, ON_GUARDED_A, PODS, refusal
from tests.cluster.security.test_security_rbac import AGENT, everywhere, own_rules

if TYPE_CHECKING:
    from oompolicy.kube.connection import Connection

ON_A, ON_B = "/api/v1/namespaces/guarded-team/pods/on-a", "/api/v1/namespaces/guarded-team/pods/on-b"
ON_GUARDED_B = {"fieldSelector": "spec.nodeName=guarded-b"}
WATCH = {
    "watch": "1",
    "sendInitialEvents": "true",
    "resourceVersionMatch": "NotOlderThan",
    "allowWatchBookmarks": "true",
}


def listed(connection: Connection, query: dict[str, str], headers: dict[str, str]) -> list[str]:
    """Return the names of guarded-team's pods from a list. The agents' pods are in another namespace."""
    return names(connection.request("GET", PODS, query=query, headers=headers)["items"])


def watched(connection: Connection, query: dict[str, str], headers: dict[str, str]) -> list[str]:
    """Return the names of guarded-team's pods from a WatchList, up to the bookmark that ends the list."""
    with closing(connection.stream(PODS, query=query | WATCH, headers=headers, read_timeout=30)) as stream:
        return names([event["object"] for event in takewhile(lambda event: event["type"] != "BOOKMARK", stream)])


def names(pods: list[dict[str, Any]]) -> list[str]:
    return sorted(pod["metadata"]["name"] for pod in pods if pod["metadata"]["namespace"] == "guarded-team")


class TestInTheNameOfItsNode:
    """The rights by `deploy/agent-pods-impersonated.yaml`."""

    def test_an_agent_lists_and_watches_the_pods_of_its_node(self, agent: Connection) -> None:
        """List and watch have no pods of other nodes."""
        assert ["on-a"] == listed(agent, ON_GUARDED_A, AS_GUARDED_A)
        assert ["on-a"] == watched(agent, ON_GUARDED_A, AS_GUARDED_A)

    @pytest.mark.parametrize(
        "query", [{}, ON_GUARDED_B, {"labelSelector": "app=web"}], ids=["all", "guarded-b", "labels"]
    )
    @pytest.mark.parametrize("read", [listed, watched])
    def test_an_agent_sees_no_other_pods(self, agent: Connection, read: Any, query: dict[str, str]) -> None:  # noqa: ANN401
        """The Node authorizer requires a field selector with the agent's own node."""
        message = refusal(lambda: read(agent, query, AS_GUARDED_A))

        assert 'User "system:node:guarded-a" cannot' in message
        assert "can only list/watch pods with spec.nodeName field selector" in message

    @pytest.mark.parametrize("path", [ON_A, ON_B, "/api/v1/nodes/guarded-a", "/api/v1/namespaces/guarded-team/secrets"])
    def test_an_agent_has_no_other_read_right_of_its_kubelet(self, agent: Connection, path: str) -> None:
        """In its node's name, the agent may only list and watch pods."""
        assert "impersonate-on:associated-node:" in refusal(lambda: agent.request("GET", path, headers=AS_GUARDED_A))

    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("DELETE", ON_A, None),
            ("PATCH", "/api/v1/nodes/guarded-a/status", {"status": {"capacity": {"memory": "1Ti"}}}),
            ("PATCH", f"{ON_A}/status", {"status": {"phase": "Failed"}}),
            ("POST", "/api/v1/namespaces/kube-system/serviceaccounts/default/token", {"spec": {}}),
        ],
    )
    def test_an_agent_writes_nothing_in_its_nodes_name(
        self, agent: Connection, method: str, path: str, body: dict[str, Any] | None
    ) -> None:
        """The kubelet may do each of these for its own pods."""
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"

        assert "impersonate-on:associated-node:" in refusal(
            lambda: agent.request(method, path, body=body, content_type=kind, headers=AS_GUARDED_A)
        )

    @pytest.mark.parametrize(
        "headers",
        [
            {"Impersonate-User": "system:node:guarded-b"},
            {"Impersonate-User": "admin"},
            {"Impersonate-User": "system:serviceaccount:oompolicy-system:oompolicy-operator"},
            AS_GUARDED_A | {"Impersonate-Group": "system:masters"},
            AS_GUARDED_A | {"Impersonate-Group": "system:nodes"},
            AS_GUARDED_A | {"Impersonate-Uid": "a-uid"},
            AS_GUARDED_A | {"Impersonate-Extra-Authentication.kubernetes.io%2fnode-Name": "guarded-b"},
        ],
        ids=lambda headers: " ".join(headers.values()),
    )
    @pytest.mark.parametrize("query", [ON_GUARDED_A, ON_GUARDED_B], ids=["guarded-a", "guarded-b"])
    def test_an_agent_impersonates_no_other_user(
        self, agent: Connection, headers: dict[str, str], query: dict[str, str]
    ) -> None:
        """Another node, a user and another service account are refused, and so is its own node with more attributes."""
        assert "impersonate" in refusal(lambda: listed(agent, query, headers))

    @pytest.mark.parametrize("query", [{}, ON_GUARDED_A], ids=["all", "guarded-a"])
    def test_an_agent_reads_no_pods_in_its_own_name(self, agent: Connection, query: dict[str, str]) -> None:
        """A right to read pods in its own name would make the limits of the impersonation useless."""
        assert 'cannot list resource "pods"' in refusal(lambda: listed(agent, query, {}))
        assert 'cannot watch resource "pods"' in refusal(lambda: watched(agent, query, {}))
        assert 'cannot get resource "pods"' in refusal(lambda: agent.request("GET", ON_A))

    def test_a_token_that_is_bound_to_no_pod_impersonates_no_node(self, unbound_agent: Connection) -> None:
        """The token has no node name, so it may not impersonate a node."""
        assert "impersonate" in refusal(lambda: listed(unbound_agent, ON_GUARDED_A, AS_GUARDED_A))


@pytest.mark.usefixtures("all_pods")
class TestOnAnOlderCluster:
    """The rights by `deploy/agent-pods.yaml`."""

    def test_an_agent_lists_and_watches_the_pods_of_its_node(self, agent: Connection) -> None:
        """The agent does this in its own name."""
        assert ["on-a"] == listed(agent, ON_GUARDED_A, {})
        assert ["on-a"] == watched(agent, ON_GUARDED_A, {})

    def test_an_agent_may_read_the_pods_of_all_nodes(self, agent: Connection) -> None:
        """The agent can read all pods, which docs/security.md states. If the test fails, the page is wrong."""
        assert ["on-a", "on-b"] == listed(agent, {}, {})

    def test_an_agent_impersonates_no_node(self, agent: Connection) -> None:
        """The agent does not need this right, and does not have it."""
        assert "impersonate" in refusal(lambda: listed(agent, ON_GUARDED_A, AS_GUARDED_A))

    def test_an_agent_has_no_more_rights(self, agent: Connection, anybody: Connection) -> None:
        """Two verbs on pods replace the rights to impersonate, and all other rights are the same."""
        pods = {("list", "pods", ""), ("watch", "pods", "")}

        assert everywhere(AGENT | pods) == own_rules(agent, anybody)

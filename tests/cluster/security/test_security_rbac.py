# SPDX-License-Identifier: Apache-2.0
"""Operator and agent have the rights that they need, and no others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.cluster.security.requests import (
    MERGE_PATCH,
    OOMNODES,
    OOMPOLICIES,
    OOMSETTINGS,
    refusal,
)

if TYPE_CHECKING:
    from oompolicy.kube.connection import Connection

LEASES: Final = "/apis/coordination.k8s.io/v1/namespaces/{}/leases"
NAMESPACES: Final = ("oompolicy-system", "guarded-team", "default", "kube-system")

Rule = tuple[str, str, str]
"""The verb, the resource with its group, and the only object name that it is for, if there is one."""

OPERATOR: Final = {
    *((verb, "oompolicies.oompolicy.dev", "") for verb in ("get", "list", "watch")),
    ("patch", "oompolicies/status.oompolicy.dev", ""),
    *((verb, "oomsettings.oompolicy.dev", "") for verb in ("get", "list", "watch")),
    ("patch", "oomsettings/status.oompolicy.dev", ""),
    *((verb, "oomnodes.oompolicy.dev", "") for verb in ("get", "list", "watch", "create", "patch")),
    ("patch", "oomnodes/status.oompolicy.dev", ""),
    *((verb, kind, "") for verb in ("list", "watch") for kind in ("pods", "namespaces", "nodes")),
}
OPERATOR_LEASE: Final = {
    ("get", "leases.coordination.k8s.io", "oompolicy-operator"),
    ("update", "leases.coordination.k8s.io", "oompolicy-operator"),
    ("create", "leases.coordination.k8s.io", ""),
}
AGENT: Final = {
    *((verb, kind, "") for verb in ("list", "watch") for kind in ("oompolicies.oompolicy.dev", "namespaces")),
    *((verb, "oomsettings.oompolicy.dev", "") for verb in ("list", "watch")),
    *((verb, "oomnodes.oompolicy.dev", "") for verb in ("get", "list", "watch")),
    ("patch", "oomnodes/status.oompolicy.dev", ""),
    ("create", "events.events.k8s.io", ""),
    ("patch", "events.events.k8s.io", ""),
}
IN_ITS_NODES_NAME: Final = {
    ("impersonate:associated-node", "nodes.authentication.k8s.io", ""),
    ("impersonate-on:associated-node:list", "pods", ""),
    ("impersonate-on:associated-node:watch", "pods", ""),
}


def rules(connection: Connection, namespace: str) -> set[Rule]:
    """Return all rights of the user of a connection in a namespace, and cluster-wide."""
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    answer = connection.request("POST", "/apis/authorization.k8s.io/v1/selfsubjectrulesreviews", body=body)
    return {
        (verb, f"{kind}.{group}" if group else kind, name)
        for rule in answer["status"]["resourceRules"]
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for kind in rule["resources"]
        for name in rule.get("resourceNames") or ("",)
    }


def own_rules(connection: Connection, anybody: Connection) -> dict[str, set[Rule]]:
    """Return the rights that other service accounts do not have, by namespace."""
    return {namespace: rules(connection, namespace) - rules(anybody, namespace) for namespace in NAMESPACES}


def everywhere(expected: set[Rule], **more: set[Rule]) -> dict[str, set[Rule]]:
    return {namespace: expected | more.get(namespace.replace("-", "_"), set()) for namespace in NAMESPACES}


def test_the_operator_has_only_the_rights_that_it_needs(operator: Connection, anybody: Connection) -> None:
    """The rights are the same in each namespace, but the rights to the Lease are only in the operator's own."""
    expected = everywhere(OPERATOR, oompolicy_system=OPERATOR_LEASE)

    assert expected == own_rules(operator, anybody)


def test_an_agent_has_only_the_rights_that_it_needs(agent: Connection, anybody: Connection) -> None:
    """The verbs on pods are only for impersonation."""
    assert everywhere(AGENT | IN_ITS_NODES_NAME) == own_rules(agent, anybody)


@pytest.mark.parametrize(
    "path",
    [OOMPOLICIES, OOMNODES, OOMSETTINGS, "/api/v1/pods", "/api/v1/namespaces", "/api/v1/nodes"],
    ids=lambda path: path.rpartition("/")[2],
)
def test_the_operator_lists_the_collections_that_it_watches(operator: Connection, path: str) -> None:
    """Each informer begins with a list."""
    assert operator.request("GET", path)["kind"].endswith("List")


def test_the_operator_writes_policy_status(operator: Connection, policy: str) -> None:
    """The operator writes the status by server-side apply."""
    body = {
        "apiVersion": "oompolicy.dev/v1alpha1",
        "kind": "OOMPolicy",
        "metadata": {"name": policy},
        "status": {"matchedPods": 3},
    }
    query = {"fieldManager": "oompolicy-operator", "force": "true"}
    path = f"{OOMPOLICIES}/{policy}/status"
    written = operator.request("PATCH", path, query=query, body=body, content_type="application/apply-patch+yaml")

    assert 3 == written["status"]["matchedPods"]


def test_the_operator_creates_oomnodes(operator: Connection, name: str) -> None:
    """The operator does not need to delete OOMNodes, because the garbage collector deletes them with their Node."""
    body = {"apiVersion": "oompolicy.dev/v1alpha1", "kind": "OOMNode", "metadata": {"name": name}}

    assert name == operator.request("POST", OOMNODES, body=body)["metadata"]["name"]


def test_the_operator_holds_its_lease(operator: Connection) -> None:
    """The operator can create, read and renew its Lease."""
    made = operator.request("POST", LEASES.format("oompolicy-system"), body=lease("oompolicy-operator"))
    path = f"{LEASES.format('oompolicy-system')}/oompolicy-operator"
    made["spec"]["holderIdentity"] = "the other"
    operator.request("PUT", path, body=made)

    assert "the other" == operator.request("GET", path)["spec"]["holderIdentity"]


def lease(name: str) -> dict[str, Any]:
    return {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": name},
        "spec": {"holderIdentity": "one"},
    }


@pytest.mark.parametrize(
    ("method", "path", "resource"),
    [
        ("PATCH", "/api/v1/namespaces/guarded-team/pods/on-a", "pods"),
        ("PATCH", "/api/v1/namespaces/guarded-team/pods/on-a/status", "pods/status"),
        ("DELETE", "/api/v1/namespaces/guarded-team/pods/on-a", "pods"),
        ("PATCH", "/api/v1/namespaces/guarded-team", "namespaces"),
        ("PATCH", "/api/v1/nodes/guarded-a", "nodes"),
        ("POST", "/apis/events.k8s.io/v1/namespaces/guarded-team/events", "events"),
        ("POST", "/api/v1/namespaces/guarded-team/events", "events"),
        ("PATCH", f"{OOMPOLICIES}/any", "oompolicies"),
        ("DELETE", f"{OOMPOLICIES}/any", "oompolicies"),
        ("PUT", f"{OOMNODES}/guarded-a", "oomnodes"),
        ("PUT", f"{OOMNODES}/guarded-a/status", "oomnodes/status"),
        ("PATCH", f"{OOMSETTINGS}/cluster", "oomsettings"),
        ("DELETE", f"{OOMSETTINGS}/cluster", "oomsettings"),
        ("DELETE", f"{OOMNODES}/guarded-a", "oomnodes"),
        ("GET", f"{LEASES.format('oompolicy-system')}/another", "leases"),
        ("PUT", f"{LEASES.format('oompolicy-system')}/another", "leases"),
        ("DELETE", f"{LEASES.format('oompolicy-system')}/oompolicy-operator", "leases"),
        ("POST", LEASES.format("guarded-team"), "leases"),
        ("GET", "/api/v1/namespaces/oompolicy-system/secrets", "secrets"),
        ("GET", "/api/v1/namespaces/kube-system/configmaps", "configmaps"),
        ("POST", "/api/v1/namespaces/oompolicy-system/serviceaccounts/oompolicy-agent/token", "serviceaccounts/token"),
    ],
)
def test_other_requests_of_the_operator_are_refused(
    operator: Connection, method: str, path: str, resource: str
) -> None:
    """The request is refused before its body is read."""
    said = refusal(lambda: send(operator, method, path))

    assert 'User "system:serviceaccount:oompolicy-system:oompolicy-operator" cannot' in said
    assert f'resource "{resource}"' in said


@pytest.mark.parametrize(
    ("method", "path", "resource"),
    [
        ("PATCH", "/api/v1/namespaces/guarded-team/pods/on-a", "pods"),
        ("DELETE", "/api/v1/namespaces/guarded-team/pods/on-a", "pods"),
        ("POST", "/api/v1/namespaces/guarded-team/pods", "pods"),
        ("POST", "/api/v1/namespaces/guarded-team/pods/on-a/eviction", "pods/eviction"),
        ("GET", "/api/v1/namespaces/guarded-team/pods/on-a/log", "pods/log"),
        ("PATCH", "/api/v1/namespaces/guarded-team", "namespaces"),
        ("GET", "/api/v1/nodes", "nodes"),
        ("PATCH", "/api/v1/nodes/guarded-a", "nodes"),
        ("PATCH", f"{OOMPOLICIES}/any", "oompolicies"),
        ("PATCH", f"{OOMPOLICIES}/any/status", "oompolicies/status"),
        ("POST", OOMPOLICIES, "oompolicies"),
        ("PATCH", f"{OOMSETTINGS}/cluster", "oomsettings"),
        ("PATCH", f"{OOMSETTINGS}/cluster/status", "oomsettings/status"),
        ("GET", "/api/v1/namespaces/guarded-team/secrets", "secrets"),
        ("GET", "/api/v1/namespaces/oompolicy-system/configmaps", "configmaps"),
        ("GET", f"{LEASES.format('oompolicy-system')}/oompolicy-operator", "leases"),
        ("POST", "/api/v1/namespaces/oompolicy-system/serviceaccounts/oompolicy-agent/token", "serviceaccounts/token"),
    ],
)
def test_other_requests_of_an_agent_are_refused(agent: Connection, method: str, path: str, resource: str) -> None:
    """The request is refused before its body is read."""
    said = refusal(lambda: send(agent, method, path))

    assert 'User "system:serviceaccount:oompolicy-system:oompolicy-agent" cannot' in said
    assert f'resource "{resource}"' in said


@pytest.mark.parametrize("path", [OOMPOLICIES, OOMSETTINGS, OOMNODES, "/api/v1/namespaces"])
def test_an_agent_lists_the_collections_that_it_watches(agent: Connection, path: str) -> None:
    """Each informer begins with a list."""
    assert agent.request("GET", path)["kind"].endswith("List")


def send(connection: Connection, method: str, path: str) -> dict[str, Any]:
    """Send a request with an empty body, because RBAC refuses a request before its body is read."""
    kind = MERGE_PATCH if method == "PATCH" else "application/json"
    return connection.request(method, path, body=None if method == "GET" else {}, content_type=kind)

# SPDX-License-Identifier: Apache-2.0
"""Only the operator and admins change the mode of a node, and the operator changes nothing else of an OOMNode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from oompolicy.kube.connection import apply
from tests.cluster.objects import location
from tests.cluster.security.requests import OOMNODES, merge_patch, refusal
from tests.cluster.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oompolicy.kube.connection import Connection
    from tests.cluster.security.conftest import Guarded

NODE = f"{OOMNODES}/guarded-a"
ADMINS_ONLY = (
    "only the operator, and users who may update the OOMSettings with the name cluster,"
    " may change the spec of an OOMNode"
)
RBAC = "/apis/rbac.authorization.k8s.io/v1"


@pytest.fixture(scope="module")
def writer(guarded: Guarded) -> Iterator[Connection]:
    """A service account that may write OOMNodes, and may not update OOMSettings."""
    api, name = guarded.cluster.api, "guarded-writer"
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}
    apply(api.connection, location("ServiceAccount", name, "guarded-team"), account, manager="test")
    grant(api.connection, name, ["oomnodes"], ["get", "create", "update", "patch"])
    made = guarded.connection(guarded.cluster.kubeconfig("guarded-team", name))
    eventually(lambda: allowed(made, "patch", "oomnodes"), bool)
    yield made
    revoke(api.connection, name)


def grant(admin: Connection, name: str, resources: list[str], verbs: list[str]) -> None:
    head = {"apiVersion": "rbac.authorization.k8s.io/v1", "metadata": {"name": name}}
    rule = {"apiGroups": ["oompolicy.dev"], "resources": resources, "verbs": verbs}
    role = {**head, "kind": "ClusterRole", "rules": [rule]}
    subject = {"kind": "ServiceAccount", "name": "guarded-writer", "namespace": "guarded-team"}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
    binding = {**head, "kind": "ClusterRoleBinding", "roleRef": reference, "subjects": [subject]}
    apply(admin, f"{RBAC}/clusterroles/{name}", role, manager="test")
    apply(admin, f"{RBAC}/clusterrolebindings/{name}", binding, manager="test")


def revoke(admin: Connection, name: str) -> None:
    for plural in ("clusterrolebindings", "clusterroles"):
        admin.request("DELETE", f"{RBAC}/{plural}/{name}")


def allowed(connection: Connection, verb: str, resource: str) -> bool:
    attributes = {"group": "oompolicy.dev", "resource": resource, "verb": verb, "name": "cluster"}
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": attributes},
    }
    answer = connection.request("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body=body)
    return bool(answer["status"]["allowed"])


def operator_applies(operator: Connection, body: dict[str, Any], name: str = "guarded-a") -> dict[str, Any]:
    head: dict[str, Any] = {"apiVersion": "oompolicy.dev/v1alpha1", "kind": "OOMNode"}
    metadata = {"name": name, **body.get("metadata", {})}
    return apply(operator, f"{OOMNODES}/{name}", {**head, **body, "metadata": metadata}, manager="oompolicy-operator")


def test_the_operator_writes_and_removes_the_mode_of_a_node(operator: Connection, admin: Connection) -> None:
    """An apply without the field removes it."""
    operator_applies(operator, {"spec": {"mode": "Audit"}})
    assert {"mode": "Audit"} == admin.request("GET", NODE)["spec"]
    operator_applies(operator, {})

    assert not admin.request("GET", NODE).get("spec")


@pytest.mark.parametrize(
    "metadata",
    [
        {"labels": {"mine": "yes"}},
        {"annotations": {"mine": "yes"}},
        {"finalizers": ["x.example/y"]},
        {"ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "guarded-b", "uid": "u-1"}]},
    ],
    ids=lambda metadata: next(iter(metadata)),
)
def test_the_operator_changes_nothing_else_of_an_oomnode(operator: Connection, metadata: dict[str, Any]) -> None:
    """An owner could have the OOMNode deleted, and a finalizer could keep it forever."""
    said = refusal(lambda: operator_applies(operator, {"metadata": metadata, "spec": {"mode": "Off"}}))

    assert said.endswith("the operator may change no field of an OOMNode but spec.mode")


def test_an_agent_does_not_change_its_mode(agent: Connection, admin: Connection) -> None:
    """RBAC refuses a write of the object, and a write of the status keeps the spec that is stored."""
    assert 'cannot patch resource "oomnodes"' in refusal(lambda: merge_patch(agent, NODE, {"spec": {"mode": "Off"}}))
    merge_patch(agent, f"{NODE}/status", {"spec": {"mode": "Off"}, "status": {"mode": "Off"}})

    assert not admin.request("GET", NODE).get("spec")


def test_an_admin_changes_the_mode_of_a_node(admin: Connection) -> None:
    """A user may keep one node out of the settings of the cluster."""
    assert "Off" == merge_patch(admin, NODE, {"spec": {"mode": "Off"}})["spec"]["mode"]
    assert not merge_patch(admin, NODE, {"spec": None}).get("spec")


def test_the_right_to_write_oomnodes_does_not_include_the_mode(writer: Connection, admin: Connection) -> None:
    """The field cannot be written in a new or an existing OOMNode, but other fields can."""
    new: dict[str, Any] = {"apiVersion": "oompolicy.dev/v1alpha1", "kind": "OOMNode", "metadata": {"name": "guarded-d"}}
    assert refusal(lambda: merge_patch(writer, NODE, {"spec": {"mode": "Off"}})).endswith(ADMINS_ONLY)
    assert refusal(lambda: writer.request("POST", OOMNODES, body={**new, "spec": {"mode": "Off"}})).endswith(
        ADMINS_ONLY
    )
    merge_patch(admin, NODE, {"spec": {"mode": "Audit"}})
    assert refusal(lambda: merge_patch(writer, NODE, {"spec": None})).endswith(ADMINS_ONLY)
    assert "yes" == merge_patch(writer, NODE, {"metadata": {"labels": {"mine": "yes"}}})["metadata"]["labels"]["mine"]
    writer.request("POST", OOMNODES, body=new)
    merge_patch(admin, NODE, {"metadata": {"labels": None}, "spec": None})


def test_a_user_who_may_update_the_settings_changes_the_mode_of_a_node(writer: Connection, admin: Connection) -> None:
    """Such a user decides about all nodes in any case."""
    grant(admin, "guarded-settings", ["oomsettings"], ["update"])
    eventually(lambda: allowed(writer, "update", "oomsettings"), bool)
    changed = merge_patch(writer, NODE, {"spec": {"mode": "Off"}})
    merge_patch(writer, NODE, {"spec": None})
    revoke(admin, "guarded-settings")
    eventually(lambda: allowed(writer, "update", "oomsettings"), lambda may: not may)

    assert {"mode": "Off"} == changed["spec"]

# SPDX-License-Identifier: Apache-2.0
"""What a node says of itself is written by the agent of that node, and by nobody else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.cluster.security.requests import OOMNODES, apply_status, merge_patch, refusal

if TYPE_CHECKING:
    from oompolicy.kube.connection import Connection

NO_CLAIM = "the agent's token has no node name: use the token that the kubelet mounts into the agent's pod"


def test_an_agent_writes_the_status_of_its_own_node(agent: Connection, admin: Connection) -> None:
    """By server-side apply, as it does."""
    apply_status(agent, "guarded-a", {"mode": "Enforce"})

    assert "Enforce" == admin.request("GET", f"{OOMNODES}/guarded-a")["status"]["mode"]


def test_an_agent_does_not_make_its_oomnode_grow_by_managers(agent: Connection, admin: Connection) -> None:
    """Each name that it writes under is kept, with its fields, for as long as the OOMNode is there."""

    def many() -> None:
        # Who says the same as another one owns it together with that one.
        for number in range(20):
            apply_status(agent, "guarded-a", {"mode": "Enforce"}, manager=f"manager-{number}")

    assert refusal(many).endswith(
        "an OOMNode can have at most 10 field managers: use the field manager oompolicy-agent"
    )
    assert len(admin.request("GET", f"{OOMNODES}/guarded-a")["metadata"]["managedFields"]) <= 10
    apply_status(agent, "guarded-a", {"mode": "Enforce"})


def test_an_agent_reads_the_status_that_it_wrote(agent: Connection) -> None:
    """With a plain GET."""
    apply_status(agent, "guarded-a", {"kernelVersion": "6.12.107"})

    assert "6.12.107" == agent.request("GET", f"{OOMNODES}/guarded-a")["status"]["kernelVersion"]


def test_an_agent_does_not_write_the_status_of_another_node(agent: Connection, admin: Connection) -> None:
    """The sentence names both nodes."""
    said = refusal(lambda: apply_status(agent, "guarded-b", {"mode": "Enforce"}))

    assert said.endswith("the agent of node guarded-a may not write the status of OOMNode guarded-b")
    assert "status" not in admin.request("GET", f"{OOMNODES}/guarded-b")


def test_an_agent_does_not_change_metadata_and_spec_through_the_status(agent: Connection, admin: Connection) -> None:
    """The API server keeps what it has."""
    before = admin.request("GET", f"{OOMNODES}/guarded-a")["metadata"]
    body = {"metadata": {"labels": {"mine": "yes"}, "finalizers": ["x.example/y"]}, "spec": {}, "status": {}}
    merge_patch(agent, f"{OOMNODES}/guarded-a/status", body)
    after = admin.request("GET", f"{OOMNODES}/guarded-a")

    for field in ("labels", "finalizers", "ownerReferences"):
        assert before.get(field) == after["metadata"].get(field)
    assert "spec" not in after


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PATCH", f"{OOMNODES}/guarded-a", {"metadata": {"labels": {"mine": "yes"}}}),
        (
            "POST",
            OOMNODES,
            {"apiVersion": "oompolicy.dev/v1alpha1", "kind": "OOMNode", "metadata": {"name": "guarded-c"}},
        ),
        ("DELETE", f"{OOMNODES}/guarded-a", None),
        ("DELETE", OOMNODES, None),
    ],
)
def test_an_agent_writes_nothing_of_an_oomnode_but_its_status(
    agent: Connection, method: str, path: str, body: dict[str, Any] | None
) -> None:
    """Not even of its own node's."""
    said = refusal(lambda: agent.request(method, path, body=body, content_type=content_type(method)))

    assert 'resource "oomnodes" in API group "oompolicy.dev"' in said


def test_a_token_that_is_bound_to_no_pod_writes_no_status(unbound_agent: Connection) -> None:
    """Whoever may ask for tokens of the service account still is no node."""
    assert refusal(lambda: apply_status(unbound_agent, "guarded-a", {"mode": "Enforce"})).endswith(NO_CLAIM)


def test_an_admin_who_impersonates_the_agent_writes_no_status(admin: Connection) -> None:
    """Such a request has no claims at all."""
    header = {"Impersonate-User": "system:serviceaccount:oompolicy-system:oompolicy-agent"}

    assert refusal(lambda: apply_status(admin, "guarded-a", {"mode": "Enforce"}, headers=header)).endswith(NO_CLAIM)


def content_type(method: str) -> str:
    return "application/merge-patch+json" if method == "PATCH" else "application/json"

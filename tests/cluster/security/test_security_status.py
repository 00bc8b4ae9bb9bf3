# SPDX-License-Identifier: Apache-2.0
"""The agent of a node writes the status of its OOMNode. The operator may only withdraw conditions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.cluster.security.requests import OOMNODES, apply_status, merge_patch, refusal

if TYPE_CHECKING:
    from oompolicy.kube.connection import Connection

NO_CLAIM = "the agent's token has no node name: use the token that the kubelet mounts into the agent's pod"


def test_an_agent_writes_the_status_of_its_own_node(agent: Connection, admin: Connection) -> None:
    """The agent writes the status by server-side apply."""
    apply_status(agent, "guarded-a", {"mode": "Enforce"})

    assert "Enforce" == admin.request("GET", f"{OOMNODES}/guarded-a")["status"]["mode"]


def test_an_agent_does_not_make_its_oomnode_grow_by_field_managers(agent: Connection, admin: Connection) -> None:
    """The API server keeps each field manager with its fields for as long as the OOMNode exists."""

    def write_as_many() -> None:
        # Managers that write the same value own the field together.
        for number in range(20):
            apply_status(agent, "guarded-a", {"mode": "Enforce"}, manager=f"manager-{number}")

    assert refusal(write_as_many).endswith(
        "an OOMNode can have at most 10 field managers: use the field manager oompolicy-agent"
    )
    assert len(admin.request("GET", f"{OOMNODES}/guarded-a")["metadata"]["managedFields"]) <= 10
    apply_status(agent, "guarded-a", {"mode": "Enforce"})


def test_an_agent_reads_the_status_that_it_wrote(agent: Connection) -> None:
    """The agent reads the OOMNode with a plain GET."""
    apply_status(agent, "guarded-a", {"kernelVersion": "6.12.107"})

    assert "6.12.107" == agent.request("GET", f"{OOMNODES}/guarded-a")["status"]["kernelVersion"]


def test_an_agent_does_not_write_the_status_of_another_node(agent: Connection, admin: Connection) -> None:
    """The message names both nodes."""
    said = refusal(lambda: apply_status(agent, "guarded-b", {"mode": "Enforce"}))

    assert said.endswith("the agent of node guarded-a may not write the status of OOMNode guarded-b")
    assert "status" not in admin.request("GET", f"{OOMNODES}/guarded-b")


def test_an_agent_does_not_change_metadata_and_spec_through_the_status(agent: Connection, admin: Connection) -> None:
    """The API server ignores these fields in a write of the status."""
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
    """The agent may neither create, change nor delete an OOMNode, not even that of its own node."""
    said = refusal(lambda: agent.request(method, path, body=body, content_type=content_type(method)))

    assert 'resource "oomnodes" in API group "oompolicy.dev"' in said


def test_a_token_that_is_bound_to_no_pod_writes_no_status(unbound_agent: Connection) -> None:
    """A user with the right to request tokens of the service account cannot write the status of a node."""
    assert refusal(lambda: apply_status(unbound_agent, "guarded-a", {"mode": "Enforce"})).endswith(NO_CLAIM)


def test_an_admin_that_impersonates_the_agent_writes_no_status(admin: Connection) -> None:
    """A request by impersonation has no claims."""
    header = {"Impersonate-User": "system:serviceaccount:oompolicy-system:oompolicy-agent"}

    assert refusal(lambda: apply_status(admin, "guarded-a", {"mode": "Enforce"}, headers=header)).endswith(NO_CLAIM)


def conditions(**statuses: str) -> dict[str, Any]:
    """Return a status with these conditions, such as `Ready="True"`."""
    more = {"reason": "Some", "message": "", "lastTransitionTime": "2026-11-28T05:00:00Z"}
    return {"conditions": [{"type": kind, "status": status, **more} for kind, status in statuses.items()]}


def operator_writes(operator: Connection, status: dict[str, Any]) -> None:
    apply_status(operator, "guarded-a", status, manager="oompolicy-operator")


@pytest.fixture
def reported(agent: Connection) -> dict[str, Any]:
    """Write a report of the agent, and return it."""
    status = {"mode": "Enforce", "counts": {"pods": 3}, **conditions(Ready="True", Enforcing="True")}
    apply_status(agent, "guarded-a", status)
    return status


@pytest.mark.usefixtures("reported")
def test_the_operator_sets_conditions_to_unknown(operator: Connection, agent: Connection, admin: Connection) -> None:
    """The agent sets the conditions again with its next report."""
    operator_writes(operator, conditions(Enforcing="Unknown"))
    found = admin.request("GET", f"{OOMNODES}/guarded-a")["status"]
    assert {"Ready": "True", "Enforcing": "Unknown"} == {each["type"]: each["status"] for each in found["conditions"]}
    assert "Enforce" == found["mode"]

    apply_status(agent, "guarded-a", {"mode": "Enforce", **conditions(Ready="True", Enforcing="True")})
    found = admin.request("GET", f"{OOMNODES}/guarded-a")["status"]
    assert {"True"} == {each["status"] for each in found["conditions"]}


@pytest.mark.usefixtures("reported")
@pytest.mark.parametrize(
    "claim", [{"Enforcing": "False"}, {"OfTomorrow": "True"}, {"Ready": "True", "Synced": "False"}]
)
def test_the_operator_makes_no_claim_about_a_node(operator: Connection, claim: dict[str, str]) -> None:
    """The operator sets neither a condition that the agent has reported nor a new one to True or False."""
    said = refusal(lambda: operator_writes(operator, conditions(**claim)))

    assert said.endswith("the operator may set the conditions of an OOMNode to Unknown only")


@pytest.mark.usefixtures("reported")
@pytest.mark.parametrize(
    "status",
    [
        {"mode": "Audit"},
        {"policyHash": "aa"},
        {"counts": {"pods": 4}},
        {"lastHeartbeatTime": "2026-11-28T05:00:00Z"},
    ],
)
def test_the_operator_writes_no_other_field_of_the_status(operator: Connection, status: dict[str, Any]) -> None:
    """The operator may neither change a field that the agent has reported, nor add one."""
    said = refusal(lambda: operator_writes(operator, status))

    assert said.endswith("the operator may change no field of the status of an OOMNode but the conditions")


@pytest.mark.usefixtures("reported")
def test_the_operator_removes_no_field_of_the_status(operator: Connection) -> None:
    """A merge patch with null is refused."""
    said = refusal(lambda: merge_patch(operator, f"{OOMNODES}/guarded-a/status", {"status": {"mode": None}}))

    assert said.endswith("the operator may change no field of the status of an OOMNode but the conditions")


def content_type(method: str) -> str:
    return "application/merge-patch+json" if method == "PATCH" else "application/json"

# SPDX-License-Identifier: Apache-2.0
"""What a user of kubectl sees of our two kinds, and who may write what of them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from oompolicy.kube.connection import apply
from oompolicy.kube.errors import ApiError
from oompolicy_agent.api.statuswriter import with_heartbeat
from oompolicy_agent.kernel.attachment import Attachment
from oompolicy_agent.kernel.layout import Stat
from oompolicy_agent.status.document import View, build
from tests.cluster.errors import KubectlError
from tests.cluster.objects import location
from tests.unit.policy.factories import raw_policy

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.cluster.api import Api
    from tests.cluster.kubectl import Kubectl

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
VICTIM = {
    "time": "2026-11-25T11:58:02.123456Z",
    "namespace": "shop",
    "pod": "web-0",
    "container": "app",
    "policy": "databases",
    "process": "java",
    "pid": 4711,
    "priority": 300,
    "scope": "Node",
}
ENFORCING = Attachment("EvaluateTask", "Module", "6.12.107", None, "", ())
# What of status.json becomes OOMNode.status.
REPORTED = {
    *("mode", "backend", "hook", "kernelVersion", "policyHash", "counts", "lastVictims", "conditions"),
    *("lastHeartbeatTime", "bootID"),
}


def node_status(attachment: Attachment) -> dict[str, Any]:
    """As an agent makes it."""
    view = View(
        attachment=attachment,
        policy_hash="0123456789abcdef",
        pods=(),
        not_mapped=(),
        entries=4,
        entries_missing=0,
        counters=dict.fromkeys(Stat, 2**40),
        spooled=0,
        spool_dropped=0,
        problems={},
        last_victims=(VICTIM, {key: VICTIM[key] for key in ("time", "process", "pid", "priority", "scope")}),
    )
    status = with_heartbeat(build(view, {}, NOW), "6f1d1c0e-4f1a-4c57-9c0e-0a3c7f9b2d11", datetime.now(UTC))
    return {key: value for key, value in status.items() if key in REPORTED}


def condition(kind: str, status: str) -> dict[str, Any]:
    text = {"reason": "Checked", "message": f"{kind} is {status}", "lastTransitionTime": "2026-11-25T12:00:00Z"}
    return {"type": kind, "status": status, **text}


def write_status(api: Api, kind: str, name: str, status: Mapping[str, Any], manager: str = "test") -> dict[str, Any]:
    body = {"apiVersion": "oompolicy.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "status": status}
    return apply(api.connection, location(kind, name), body, manager=manager, subresource="status")


def rows(table: str) -> list[list[str]]:
    return [line.split() for line in table.splitlines()]


def oomnode(name: str) -> dict[str, Any]:
    return {"apiVersion": "oompolicy.dev/v1alpha1", "kind": "OOMNode", "metadata": {"name": name}}


def test_policies_are_listed_with_what_became_of_them(api: Api, kubectl: Kubectl) -> None:
    """One that nobody has looked at yet says nothing."""
    api.create(raw_policy({"precedence": 7, "priority": {"value": 1}}, "new"))
    api.create(raw_policy({"precedence": 100, "priority": {"value": 900}}, "seen"))
    status = {"observedGeneration": 1, "matchedPods": 12, "appliedNodes": 3, "conditions": [condition("Ready", "True")]}
    write_status(api, "OOMPolicy", "seen", status)

    header, new, seen = rows(kubectl("get", "oomp"))
    assert ["NAME", "PRECEDENCE", "PODS", "NODES", "READY", "AGE"] == header
    assert ["new", "7"] == new[:-1]
    assert ["seen", "100", "12", "3", "True"] == seen[:-1]


def test_nodes_that_do_not_enforce_are_told_at_one_look(api: Api, kubectl: Kubectl) -> None:
    """Mode, backend and hook say how a node works, and one column says whether it does."""
    without_hook = Attachment("ObserveOnly", "None", "6.1.0", None, "this kernel has no hook", ())
    for name, attachment in (("n1", ENFORCING), ("n2", without_hook)):
        api.create(oomnode(name))
        write_status(api, "OOMNode", name, node_status(attachment))
    api.create(oomnode("n3"))

    header, first, second, third = rows(kubectl("get", "oomn"))
    assert ["NAME", "MODE", "BACKEND", "HOOK", "ENFORCING", "READY", "SEEN", "KERNEL", "AGE"] == header
    assert ["n1", "Enforce", "EvaluateTask", "Module", "True", "True", "6.12.107"] == first[:6] + first[7:-1]
    assert ["n2", "Enforce", "ObserveOnly", "None", "False", "True", "6.1.0"] == second[:6] + second[7:-1]
    assert all(re.fullmatch(r"\d+s", row[6]) for row in (first, second))
    assert ["n3"] == third[:-1]
    assert "this kernel has no hook" in kubectl("get", "oomn", "n2", "-o", "wide")


def test_both_kinds_can_be_listed_together(api: Api, kubectl: Kubectl) -> None:
    """By a category of their own."""
    api.create(raw_policy({"priority": {"value": 1}}, "p1"))
    api.create(oomnode("n1"))

    assert ["oomnode.oompolicy.dev/n1", "oompolicy.oompolicy.dev/p1"] == sorted(
        kubectl("get", "oom", "-o", "name").split()
    )


def test_what_an_agent_says_of_its_node_is_stored_whole(api: Api) -> None:
    """Nothing is pruned, and no number is too large."""
    api.create(oomnode("n1"))
    status = node_status(ENFORCING)

    assert status == write_status(api, "OOMNode", "n1", status)["status"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mode", "Off"),
        ("backend", "EBPF"),
        ("hook", "Livepatch"),
        ("counts", {"victims": -1}),
        ("lastVictims", [VICTIM] * 11),
        ("lastVictims", [{**VICTIM, "scope": "Everything"}]),
        ("conditions", [{**condition("Ready", "True"), "status": "Perhaps"}]),
        ("conditions", [{**condition("Ready", "True"), "reason": "two words"}]),
        ("notMapped", []),
    ],
)
def test_what_no_agent_says_is_refused(api: Api, field: str, value: object) -> None:
    """A program that drifts away from the definition is told so."""
    api.create(oomnode("n1"))

    with pytest.raises(ApiError) as refused:
        write_status(api, "OOMNode", "n1", {field: value})
    assert f"status.{field}" in refused.value.message


def test_each_writer_has_its_own_conditions(api: Api) -> None:
    """They are kept by type, so that two may write without knowing of each other."""
    api.create(raw_policy({"priority": {"value": 1}}, "p1"))
    write_status(api, "OOMPolicy", "p1", {"conditions": [condition("Ready", "True")]}, "one")
    written = write_status(api, "OOMPolicy", "p1", {"conditions": [condition("Overlapping", "False")]}, "two")

    assert ["Ready", "Overlapping"] == [each["type"] for each in written["status"]["conditions"]]


def test_status_and_spec_are_written_apart(api: Api) -> None:
    """Whoever may write the one cannot change the other, and a status makes no new generation."""
    created = api.create({**raw_policy({"priority": {"value": 1}}, "p1"), "status": {"matchedPods": 1}})
    assert "status" not in created

    api.patch("OOMPolicy", "p1", {"spec": {"precedence": 9}, "status": {"matchedPods": 2}}, subresource="/status")
    found = api.get("OOMPolicy", "p1")
    assert (0, 2, 1) == (found["spec"]["precedence"], found["status"]["matchedPods"], found["metadata"]["generation"])


def test_the_fields_are_explained(kubectl: Kubectl) -> None:
    """Where a user looks first."""
    said = kubectl("explain", "oomp.spec")

    assert "The lowest priority dies first" in said
    assert "precedence\t<integer>" in said


def test_kubectl_refuses_what_is_misspelt(kubectl: Kubectl) -> None:
    """A field that nobody reads would be a policy that does not hold."""
    manifest = yaml.safe_dump(raw_policy({"priority": {"value": 1}, "precedense": 9}))

    with pytest.raises(KubectlError, match=r'unknown field "spec\.precedense"'):
        kubectl("apply", "-f", "-", stdin=manifest)

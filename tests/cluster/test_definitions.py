# SPDX-License-Identifier: Apache-2.0
"""kubectl shows the two kinds in useful columns, and the API server checks each writer's fields."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from oompolicy.kube.connection import apply
from oompolicy.kube.errors import ApiError
from oompolicy.oomsettings import Mode
from oompolicy_agent.api.statuswriter import with_heartbeat
from oompolicy_agent.kernel.attachment import Attachment
from oompolicy_agent.kernel.layout import Stat
from oompolicy_agent.status.document import View, build
from oompolicy_agent.status.reasons import Reason
from oompolicy_agent.status.scores import Order, Scores
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
# The fields of status.json that are copied into OOMNode.status.
REPORTED = {
    *("mode", "backend", "backendReason", "hook", "kernelVersion", "policyHash", "counts", "lastVictims", "conditions"),
    *("lastHeartbeatTime", "bootID", "order"),
}


ORDER: Final = Order(1 << 40, 1 << 41, (), "2026-11-28T12:00:00.000000Z", 2**40)
SCORED: Final = Scores(Reason.SCORES_IN_FORCE, "", ORDER)


def node_status(attachment: Attachment, scores: Scores | None = None) -> dict[str, Any]:
    """Return the status of an OOMNode as an agent makes it."""
    view = View(
        mode=Mode.ENFORCE,
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
        scores=scores,
        last_victims=(VICTIM, {key: VICTIM[key] for key in ("time", "process", "pid", "scope")}),
    )
    status = with_heartbeat(build(view, {}, NOW), "6f1d1c0e-4f1a-4c57-9c0e-0a3c7f9b2d11", datetime.now(UTC))
    return {key: value for key, value in status.items() if key in REPORTED and value is not None}


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


def test_kubectl_lists_policies_with_their_status(api: Api, kubectl: Kubectl) -> None:
    """The columns of the status are empty for a policy that the operator has not read yet."""
    api.create(raw_policy({"precedence": 7, "priority": {"byQOSClass": {"burstable": 1}}}, "new"))
    api.create(raw_policy({"precedence": 100, "priority": {"value": 900}}, "seen"))
    counts = {"matchedPods": 12, "decidedPods": 9, "appliedNodes": 3}
    status = {"observedGeneration": 1, **counts, "conditions": [condition("Ready", "True")]}
    write_status(api, "OOMPolicy", "seen", status)

    header, new, seen = rows(kubectl("get", "oomp"))
    assert ["NAME", "PRECEDENCE", "PRIORITY", "PODS", "NODES", "READY", "AGE"] == header
    assert ["new", "7"] == new[:-1]
    assert ["seen", "100", "900", "12", "3", "True"] == seen[:-1]
    wide_header, _, wide = rows(kubectl("get", "oomp", "-o", "wide"))
    assert ("DECIDED", "9") == (wide_header[7], wide[7])


def test_kubectl_shows_which_nodes_do_not_enforce(api: Api, kubectl: Kubectl) -> None:
    """The columns have mode and backend of a node, its conditions and its victims. The rest is in the wide output."""
    without_hook = Attachment("ObserveOnly", "None", "6.1.0", None, "this kernel has no hook", ())
    for name, attachment in (("n1", ENFORCING), ("n2", without_hook)):
        api.create(oomnode(name))
        write_status(api, "OOMNode", name, node_status(attachment))
    api.create(oomnode("n3"))

    header, first, second, third = rows(kubectl("get", "oomn"))
    assert ["NAME", "MODE", "BACKEND", "ENFORCING", "READY", "VICTIMS", "SEEN"] == header
    assert ["n1", "Enforce", "EvaluateTask", "True", "True", str(2**40)] == first[:-1]
    assert ["n2", "Enforce", "ObserveOnly", "False", "True", str(2**40)] == second[:-1]
    assert all(re.fullmatch(r"\d+s", row[6]) for row in (first, second))
    assert ["n3"] == third
    wide = rows(kubectl("get", "oomn", "-o", "wide"))[0]
    assert [*header, "HOOK", "KERNEL", "AGE", "SYNCED", "PROVEN", "POLICIES", "PODS", "MARGIN", "MESSAGE"] == wide
    assert "this kernel has no hook" in kubectl("get", "oomn", "n2", "-o", "wide")


def test_both_kinds_can_be_listed_together(api: Api, kubectl: Kubectl) -> None:
    """The category `oom` has both kinds."""
    api.create(raw_policy({"priority": {"value": 1}}, "p1"))
    api.create(oomnode("n1"))

    assert ["oomnode.oompolicy.dev/n1", "oompolicy.oompolicy.dev/p1"] == sorted(
        kubectl("get", "oom", "-o", "name").split()
    )


def test_the_api_server_stores_the_whole_status_of_an_agent(api: Api) -> None:
    """No field is pruned, and no number is too large."""
    api.create(oomnode("n1"))
    status = node_status(ENFORCING)

    assert status == write_status(api, "OOMNode", "n1", status)["status"]


def test_the_api_server_stores_the_order_of_a_node_with_scores(api: Api, kubectl: Kubectl) -> None:
    """The columns have the backend and the margin, and `describe` has the condition about the order."""
    without_hook = Attachment("ObserveOnly", "None", "6.1.0", None, "this kernel has no hook", ())
    api.create(oomnode("n1"))
    status = node_status(without_hook, SCORED)

    assert status == write_status(api, "OOMNode", "n1", status)["status"]
    assert {"marginBytes": 1 << 40, "misses": 2**40, "time": "2026-11-28T12:00:00.000000Z"} == status["order"]
    assert ["n1", "Enforce", "OOMScoreAdj", "True", "True"] == rows(kubectl("get", "oomn"))[1][:5]
    header, row = kubectl("get", "oomn", "-o", "wide").splitlines()
    start = header.index("MARGIN")
    assert str(1 << 40) == row[start:].split()[0]
    assert "OrderHolds" in kubectl("describe", "oomn", "n1")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("mode", "Sometimes"),
        ("backend", "EBPF"),
        ("hook", "Livepatch"),
        ("counts", {"victims": -1}),
        ("order", {"marginBytes": -1}),
        ("order", {"time": "yesterday"}),
        ("lastVictims", [VICTIM] * 11),
        ("lastVictims", [{**VICTIM, "scope": "Everything"}]),
        ("conditions", [{**condition("Ready", "True"), "status": "Perhaps"}]),
        ("conditions", [{**condition("Ready", "True"), "reason": "two words"}]),
        ("notMapped", []),
    ],
)
def test_the_api_server_refuses_a_status_outside_the_definition(api: Api, field: str, value: object) -> None:
    """The message names the field."""
    api.create(oomnode("n1"))

    with pytest.raises(ApiError) as refused:
        write_status(api, "OOMNode", "n1", {field: value})
    assert f"status.{field}" in refused.value.message


def test_each_writer_has_its_own_conditions(api: Api) -> None:
    """Conditions are kept by type, so that two writers do not overwrite the condition of the other."""
    api.create(raw_policy({"priority": {"value": 1}}, "p1"))
    write_status(api, "OOMPolicy", "p1", {"conditions": [condition("Ready", "True")]}, "one")
    written = write_status(api, "OOMPolicy", "p1", {"conditions": [condition("Overlapping", "False")]}, "two")

    assert ["Ready", "Overlapping"] == [each["type"] for each in written["status"]["conditions"]]


def test_status_and_spec_are_written_separately(api: Api) -> None:
    """A write of one does not change the other, and a write of the status makes no new generation."""
    created = api.create({**raw_policy({"priority": {"value": 1}}, "p1"), "status": {"matchedPods": 1}})
    assert "status" not in created

    api.patch("OOMPolicy", "p1", {"spec": {"precedence": 9}, "status": {"matchedPods": 2}}, subresource="/status")
    found = api.get("OOMPolicy", "p1")
    assert (0, 2, 1) == (found["spec"]["precedence"], found["status"]["matchedPods"], found["metadata"]["generation"])


def test_kubectl_explains_the_fields(kubectl: Kubectl) -> None:
    """`kubectl explain` shows the descriptions of the definition."""
    explanation = kubectl("explain", "oomp.spec")

    assert "The lowest priority dies first" in explanation
    assert "precedence\t<integer>" in explanation


def test_kubectl_refuses_a_misspelt_field(kubectl: Kubectl) -> None:
    """The refusal names the field, which would have no effect otherwise."""
    manifest = yaml.safe_dump(raw_policy({"priority": {"value": 1}, "precedense": 9}))

    with pytest.raises(KubectlError, match=r'unknown field "spec\.precedense"'):
        kubectl("apply", "-f", "-", stdin=manifest)


@pytest.mark.parametrize("wrong", [[], [[1]], "soon", "2026-13-01T00:00:00Z", "2026-11-25T12:00:00"])
def test_a_time_is_a_text_with_a_zone(api: Api, wrong: object) -> None:
    """Kubernetes itself accepts lists in place of times with a format, of any depth, and readers expect texts."""
    api.create({"apiVersion": "oompolicy.dev/v1alpha1", "kind": "OOMNode", "metadata": {"name": "node-1"}})
    api.create(raw_policy({"priority": {"value": 1}}))
    forged = {"type": "Ready", "status": "True", "reason": "A", "message": "", "lastTransitionTime": wrong}
    for kind, name, status in (
        ("OOMNode", "node-1", {"lastHeartbeatTime": wrong}),
        ("OOMNode", "node-1", {"order": {"time": wrong}}),
        ("OOMNode", "node-1", {"lastVictims": [{**VICTIM, "time": wrong}]}),
        ("OOMNode", "node-1", {"conditions": [forged]}),
        ("OOMPolicy", "databases", {"conditions": [forged]}),
    ):
        with pytest.raises(ApiError, match=r"(?i)time.*: Invalid value"):
            api.patch(kind, name, {"status": status}, subresource="/status")

# SPDX-License-Identifier: Apache-2.0
"""`nodes` shows how each node enforces, and the first reason why it does not."""

from datetime import UTC, datetime
from typing import Any

import pytest

from oompolicy.cli.nodereports import report, reports, table

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


def condition(kind: str, status: str = "True", reason: str | None = None) -> dict[str, str]:
    normal = {"Enforcing": "Attached"}.get(kind, kind)
    return {"type": kind, "status": status, "reason": reason or normal, "message": f"about {kind}"}


def oomnode(name: str = "node-a", *conditions: dict[str, str], **status: object) -> dict[str, Any]:
    given = {each["type"]: each for each in conditions}
    made = [given.get(kind, condition(kind)) for kind in ("Ready", "Enforcing", "Synced", "Proven")]
    full = {"mode": "Enforce", "backend": "EvaluateTask", "hook": "Module", "kernelVersion": "6.12", "conditions": made}
    return {"metadata": {"name": name}, "status": {**full, **status}}


def test_a_node_that_enforces_needs_no_reason() -> None:
    """The age is that of the heartbeat."""
    found = report(oomnode(lastHeartbeatTime="2026-11-28T11:58:00Z", counts={"pods": 3, "victims": 1}))
    whole = table([found], NOW, wide=True)

    assert found["why"] is None
    columns = ("NODE", "MODE", "BACKEND", "ENFORCING", "SEEN", "HOOK", "PROVEN", "READY", "SYNCED", "PODS", "VICTIMS")
    assert columns == whole[0][:11]
    assert [
        (
            "node-a",
            "Enforce",
            "EvaluateTask",
            "True",
            "2m",
            "Module",
            "True",
            "True",
            "True",
            "3",
            "1",
            "-",
            "6.12",
            "-",
        )
    ] == whole.rows
    assert [("node-a", "Enforce", "EvaluateTask", "True", "2m", "-")] == table([found], NOW, wide=False).rows


def test_a_node_with_scores_shows_its_margin() -> None:
    """Scores in force need no explanation, and an order at risk does."""
    order = {"marginBytes": 300 << 20, "misses": 2, "time": "2026-11-28T11:58:00Z"}
    raw = oomnode("node-a", condition("Enforcing", "True", "ScoresInForce"), backend="OOMScoreAdj", order=order)
    found = report(raw)

    assert (None, 300 << 20, 2) == (found["why"], found["marginBytes"], found["misses"])
    whole = table([found], NOW, wide=True)
    assert "300 MiB" == dict(zip(whole[0], whole.rows[0], strict=True))["MARGIN"]
    raw["status"]["conditions"].append(condition("OrderHolds", "False", "MarginSmall"))
    assert "MarginSmall: about OrderHolds" == report(raw)["why"]


@pytest.mark.parametrize(
    ("conditions", "why"),
    [
        ([condition("Enforcing", "False", "ObserveOnly")], "ObserveOnly: about Enforcing"),
        ([condition("Enforcing", "Unknown", "AgentSilent")], "AgentSilent: about Enforcing"),
        ([condition("Ready", "False", "NotSynced")], "NotSynced: about Ready"),
        (
            [condition("Enforcing", "True", "Bypassed"), condition("Synced", "False", "MapFull")],
            "MapFull: about Synced",
        ),
        ([condition("Enforcing", "True", "Bypassed")], "Bypassed: about Enforcing"),
    ],
)
def test_the_reason_is_the_most_serious_one(conditions: list[dict[str, str]], why: str) -> None:
    """A condition that is not True comes before a restriction of one that is."""
    assert why == report(oomnode("node-a", *conditions))["why"]


def test_a_node_without_a_report_says_what_is_missing() -> None:
    """The operator creates the OOMNode, and the agent writes its status."""
    silent = {"metadata": {"name": "node-b"}}
    found = reports([silent, oomnode("node-c")], ["node-a", "node-b", "node-c"])

    assert ["node-a", "node-b", "node-c"] == [each["node"] for each in found]
    assert found[0]["why"].startswith("NoOOMNode: the operator has not created an OOMNode")
    assert found[1]["why"].startswith("NoReport: the agent of this node has not reported yet")
    assert found[2]["why"] is None

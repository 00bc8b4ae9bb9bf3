# SPDX-License-Identifier: Apache-2.0
"""`preflight` says what each node can do and why, from its OOMNode."""

from __future__ import annotations

from typing import Any

import pytest

from oompolicy.cli.abilities import abilities, table


def oomnode(backend: str | None, reason: str, status: str = "True", **more: object) -> dict[str, Any]:
    condition = {"type": "Enforcing", "status": status, "reason": reason, "message": "of Enforcing"}
    full = {"backend": backend, "backendReason": "of the loader", "kernelVersion": "6.12", "conditions": [condition]}
    return {"metadata": {"name": "node-a"}, "status": {**full, **more}}


def answer(raw: dict[str, Any]) -> tuple[str, str]:
    (found,) = abilities([raw], ["node-a"])
    return found["order"], found["because"]


@pytest.mark.parametrize(
    ("raw", "order"),
    [
        (oomnode("EvaluateTask", "Attached"), "exact"),
        (oomnode("EvaluateTask", "Off", "False"), "exact"),
        (oomnode("EvaluateTask", "Bypassed"), "exact"),
        (oomnode("OOMScoreAdj", "ScoresInForce"), "by scores"),
        (oomnode("OOMScoreAdj", "AdjusterSilent", "False"), "by scores"),
        (oomnode("ObserveOnly", "ObserveOnly", "False"), "observes"),
        (oomnode("ObserveOnly", "NotAttached", "False"), "nothing"),
        (oomnode("EvaluateTask", "NotAttached", "False"), "nothing"),
        (oomnode(None, "NotAttached", "False"), "nothing"),
        (oomnode("OfTomorrow", "Unknown", "False"), "unknown"),
    ],
)
def test_the_backend_decides_whatever_the_mode_is(raw: dict[str, Any], order: str) -> None:
    """Programs that are not attached can do nothing. The reason is the loader's."""
    assert (order, "of the loader") == answer(raw)


def test_a_silent_agent_makes_the_ability_unknown() -> None:
    """The node may have booted another kernel since. The condition says how to find out."""
    assert ("unknown", "AgentSilent: of Enforcing") == answer(oomnode("EvaluateTask", "AgentSilent", "Unknown"))


def test_an_agent_without_the_reason_of_the_backend_has_that_of_the_condition() -> None:
    """It is of an earlier version than the command line."""
    assert ("observes", "of Enforcing") == answer(oomnode("ObserveOnly", "ObserveOnly", "False", backendReason=None))


def test_a_node_without_a_report_says_what_is_missing() -> None:
    """The operator creates the OOMNode, and the agent writes its status."""
    found = abilities([{"metadata": {"name": "node-b"}}, oomnode("EvaluateTask", "Attached")], ["node-c", "node-b"])

    assert [("node-a", "exact"), ("node-b", "unknown"), ("node-c", "unknown")] == [
        (each["node"], each["order"]) for each in found
    ]
    assert ["of the loader", "NoReport", "NoOOMNode"] == [each["because"].partition(":")[0] for each in found]


def test_a_row_has_state_kernel_and_reason() -> None:
    """A part that is not known is a dash."""
    made = table(abilities([oomnode("EvaluateTask", "Off", "False")], ["node-b"]))

    assert ("NODE", "ORDER", "ENFORCING", "KERNEL", "BECAUSE") == made.header
    assert ("node-a", "exact", "False", "6.12", "of the loader") == made.rows[0]
    assert ("node-b", "unknown", "-", "-") == made.rows[1][:4]

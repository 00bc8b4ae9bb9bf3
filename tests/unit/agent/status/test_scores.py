# SPDX-License-Identifier: Apache-2.0
"""Status, conditions and metrics of a node with scores say if the order of priorities is in force and safe."""

from __future__ import annotations

from dataclasses import replace

import pytest

from oompolicy.oomsettings import Mode
from oompolicy_agent.api.statuswriter import body, urgent
from oompolicy_agent.kernel.attachment import Attachment
from oompolicy_agent.status.counters import Counters
from oompolicy_agent.status.document import View, build
from oompolicy_agent.status.metrics import Metrics
from oompolicy_agent.status.reasons import Reason
from oompolicy_agent.status.scores import SMALLEST_SHARE, Order, Scores
from tests.unit.agent.status.test_document import GOOD, NOW, condition

TOTAL = 1 << 34
ORDER = Order(TOTAL // 4, TOTAL, (), "2026-11-28T12:00:00.000000Z", 2)
NONE = Order(None, 0, (), "", 2)
WITHOUT_HOOK = Attachment("ObserveOnly", "None", "6.12.107", None, "this kernel has no hook", ())
VIEW = replace(GOOD, attachment=WITHOUT_HOOK, scores=Scores(Reason.SCORES_IN_FORCE, "", ORDER))


def with_scores(reason: Reason, message: str = "", order: Order = ORDER, mode: Mode = Mode.ENFORCE) -> View:
    return replace(VIEW, mode=mode, scores=Scores(reason, message, order))


def kinds(view: View) -> list[str]:
    return [each["type"] for each in build(view, {}, NOW)["conditions"]]


def test_a_node_with_scores_in_force_enforces() -> None:
    """The backend is that of the node, and the reason of the loader stays in the message."""
    made = build(VIEW, {}, NOW)

    assert "OOMScoreAdj" == made["backend"]
    assert {"marginBytes": TOTAL // 4, "misses": 2, "time": "2026-11-28T12:00:00.000000Z"} == made["order"]
    assert made["order"] == body("n1", made)["status"]["order"]
    status, reason, message = condition(VIEW, "Enforcing")
    assert ("True", "ScoresInForce") == (status, reason)
    assert message.endswith("no hook: this kernel has no hook")
    assert ("True", "OrderHolds") == condition(VIEW, "OrderHolds")[:2]


def test_the_message_has_the_reason_why_nothing_is_attached() -> None:
    view = replace(VIEW, attachment=replace(WITHOUT_HOOK, problem="the loader attached nothing: no BTF"))

    assert condition(view, "Enforcing")[2].endswith("no hook: the loader attached nothing: no BTF")


@pytest.mark.parametrize("reason", [Reason.ADJUSTER_SILENT, Reason.SCORES_PENDING, Reason.SCORES_NOT_WRITTEN])
def test_a_node_without_scores_in_force_does_not_enforce(reason: Reason) -> None:
    """Without an order there is no condition about it, and the field has no margin."""
    view = with_scores(reason, "the sentence", NONE)

    assert ("False", reason) == condition(view, "Enforcing")[:2]
    assert condition(view, "Enforcing")[2].startswith("the sentence; no hook: ")
    assert ["Ready", "Enforcing", "Synced", "Proven"] == kinds(view)
    assert {"misses": 2} == build(view, {}, NOW)["order"]


@pytest.mark.parametrize("mode", [Mode.AUDIT, Mode.OFF])
def test_a_node_whose_adjuster_obeys_the_mode_has_the_reason_of_the_mode(mode: Mode) -> None:
    reason = Reason.AUDIT if mode is Mode.AUDIT else Reason.OFF
    found = condition(with_scores(reason, mode=mode), "Enforcing")

    assert ("False", mode.value) == found[:2]
    assert found[2].startswith(f"mode {mode}: the kernel chooses each victim")


def test_a_silent_adjuster_is_named_in_the_mode_off_too() -> None:
    """Scores may still be in force there."""
    found = condition(with_scores(Reason.ADJUSTER_SILENT, "no report", NONE, Mode.OFF), "Enforcing")

    assert ("False", "AdjusterSilent") == found[:2]


def test_priorities_without_room_are_named() -> None:
    """The node enforces the order of the others."""
    view = with_scores(Reason.ORDER_CANNOT_HOLD, "scope Node: priority 950 may die", ORDER._replace(unmet=(900, 950)))

    assert ("True", "OrderCannotHold") == condition(view, "Enforcing")[:2]
    assert ("False", "OrderCannotHold") == condition(view, "OrderHolds")[:2]
    assert "900, 950" in condition(view, "OrderHolds")[2]


@pytest.mark.parametrize(("share", "status"), [(SMALLEST_SHARE, "True"), (SMALLEST_SHARE - 0.001, "False")])
def test_a_margin_below_the_threshold_is_reported(share: float, status: str) -> None:
    view = with_scores(Reason.SCORES_IN_FORCE, "", Order(round(share * 1000), 1000, (), "", 0))

    assert status == condition(view, "OrderHolds")[0]
    assert "True" == condition(view, "Enforcing")[0]


def test_a_margin_that_hovers_at_the_threshold_causes_no_writes() -> None:
    """Only the next heartbeat has the change."""
    small = with_scores(Reason.SCORES_IN_FORCE, "", ORDER._replace(margin=1))

    assert urgent(build(VIEW, {}, NOW)) == urgent(build(small, {}, NOW))
    silent = with_scores(Reason.ADJUSTER_SILENT, "no report")
    assert urgent(build(VIEW, {}, NOW)) != urgent(build(silent, {}, NOW))


@pytest.mark.parametrize(
    ("reason", "works"),
    [
        (Reason.SCORES_IN_FORCE, 1),
        (Reason.ORDER_CANNOT_HOLD, 1),
        (Reason.AUDIT, 1),
        (Reason.OFF, 1),
        (Reason.SCORES_PENDING, 0),
        (Reason.SCORES_NOT_WRITTEN, 0),
        (Reason.ADJUSTER_SILENT, 0),
    ],
)
def test_metrics_have_the_backend_the_margin_and_the_misses(reason: Reason, works: int) -> None:
    counters = Counters()
    counters.order_miss()
    text = Metrics(counters, lambda: with_scores(reason), dict).text().decode()

    assert f'oompolicy_agent_attached{{backend="OOMScoreAdj",hook="None"}} {works}.0' in text
    assert "oompolicy_agent_order_margin_bytes 4.294967296e+09" in text
    assert "oompolicy_agent_order_misses_total 1.0" in text


def test_a_node_without_an_order_has_no_margin() -> None:
    text = Metrics(Counters(), lambda: GOOD, dict).text().decode()

    assert "\noompolicy_agent_order_margin_bytes" not in text
    assert "order" not in body("n1", build(GOOD, {}, NOW))["status"]

# SPDX-License-Identifier: Apache-2.0
"""A report is due when its status differs, and not after it was written."""

from __future__ import annotations

from datetime import UTC, datetime

from oompolicy.controller.matcher import Shape
from oompolicy.controller.reports import Report, Reports
from oompolicy.controller.state import State
from oompolicy.model import QOSClass
from tests.unit.controller.raws import SETTINGS, raw_policy

TODAY = datetime(2026, 11, 25, tzinfo=UTC)
NEVER = float("inf")


def reports(*names: str) -> tuple[State, Reports]:
    state = State()
    for name in names:
        state.policy(raw_policy(name))
    return state, Reports(state, SETTINGS)


def write(state: State, made: Reports, now: float) -> list[Report]:
    """As the loop does; the status comes back with the next event."""
    found = made.due(now, TODAY, 10)
    for report in found:
        made.wrote(report, now)
        state.policy(raw_policy(report.name, status=report.status))
    made.look(state.look(), now, TODAY)
    return found


def test_a_policy_without_status_is_due_at_once() -> None:
    """And not when its status comes back as an event."""
    state, made = reports("a")
    assert NEVER == made.next
    made.look(state.look(), 100, TODAY)

    assert 100 == made.next
    assert [("a", "uid-a")] == [report[:2] for report in write(state, made, 100)]
    assert NEVER == made.next
    assert [] == write(state, made, 1000)


def test_counts_wait_and_are_written_as_they_are_then() -> None:
    """Those of the moment of the write, not of when they were noticed."""
    state, made = reports("a")
    made.look(state.look(), 100, TODAY)
    write(state, made, 100)
    for number in range(5):
        state.census.put_pod(f"pod-{number}", Shape("shop", (), QOSClass.BURSTABLE, None))
        made.look(state.look(), 110 + number / 10, TODAY)

    assert 112 == made.next
    assert [] == write(state, made, 111)
    (report,) = write(state, made, 112)
    assert 5 == report.status["matchedPods"]


def test_what_somebody_else_writes_is_put_right() -> None:
    """Since what is there is not what follows from what is known."""
    state, made = reports("a")
    made.look(state.look(), 100, TODAY)
    (report,) = write(state, made, 100)
    state.policy(raw_policy("a", status={**report.status, "conditions": []}))
    made.look(state.look(), 200, TODAY)

    assert [report] == write(state, made, 200)


def test_one_that_could_not_be_written_waits() -> None:
    """The others do not."""
    state, made = reports("a", "b")
    made.look(state.look(), 100, TODAY)
    made.postpone("a", 130)

    assert ["b"] == [report.name for report in write(state, made, 100)]
    assert ["a"] == [report.name for report in write(state, made, 130)]


def test_a_deleted_policy_is_never_due() -> None:
    """Whenever it went."""
    state, made = reports("a", "b")
    made.look(state.look(), 100, TODAY)
    state.policy_deleted("a", "uid-a")
    assert ["b"] == [report.name for report in made.due(100, TODAY, 10)]
    made.look(state.look(), 101, TODAY)
    write(state, made, 101)

    assert NEVER == made.next

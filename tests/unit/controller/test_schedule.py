# SPDX-License-Identifier: Apache-2.0
"""A write is due when the wanted status differs from the current one, and not after the write."""

from __future__ import annotations

from datetime import UTC, datetime

from oompolicy.controller.matcher import Shape
from oompolicy.controller.schedule import StatusSchedule, StatusWrite
from oompolicy.controller.state import State
from oompolicy.model import QOSClass
from tests.unit.controller.raws import SETTINGS, raw_policy

TODAY = datetime(2026, 11, 25, tzinfo=UTC)
NEVER = float("inf")


def schedule(*names: str) -> tuple[State, StatusSchedule]:
    state = State()
    for name in names:
        state.policy(raw_policy(name))
    return state, StatusSchedule(state, SETTINGS)


def write_due(state: State, made: StatusSchedule, now: float) -> list[StatusWrite]:
    """Do the due writes as the loop does. The status comes back with the next event."""
    found = made.due(now, TODAY, 10)
    for each in found:
        made.wrote(each, now)
        state.policy(raw_policy(each.name, status=each.status))
    made.reconsider(state.evaluate(), now, TODAY)
    return found


def test_a_policy_without_status_is_due_at_once() -> None:
    """It is not due again when its status comes back as an event."""
    state, made = schedule("a")
    assert NEVER == made.next
    made.reconsider(state.evaluate(), 100, TODAY)

    assert 100 == made.next
    assert [("a", "uid-a")] == [write[:2] for write in write_due(state, made, 100)]
    assert NEVER == made.next
    assert [] == write_due(state, made, 1000)


def test_a_delayed_write_has_the_counts_of_its_own_time() -> None:
    """Counts are delayed, and then have the values at the time of the write."""
    state, made = schedule("a")
    made.reconsider(state.evaluate(), 100, TODAY)
    write_due(state, made, 100)
    for number in range(5):
        state.census.put_pod(f"pod-{number}", Shape("shop", (), QOSClass.BURSTABLE, None))
        made.reconsider(state.evaluate(), 110 + number / 10, TODAY)

    assert 112 == made.next
    assert [] == write_due(state, made, 111)
    (write,) = write_due(state, made, 112)
    assert 5 == write.status["matchedPods"]


def test_a_foreign_status_is_overwritten() -> None:
    """A status of another writer differs from the wanted status."""
    state, made = schedule("a")
    made.reconsider(state.evaluate(), 100, TODAY)
    (write,) = write_due(state, made, 100)
    state.policy(raw_policy("a", status={**write.status, "conditions": []}))
    made.reconsider(state.evaluate(), 200, TODAY)

    assert [write] == write_due(state, made, 200)


def test_a_postponed_write_does_not_delay_the_others() -> None:
    """Only the postponed policy waits."""
    state, made = schedule("a", "b")
    made.reconsider(state.evaluate(), 100, TODAY)
    made.postpone("a", 130)

    assert ["b"] == [write.name for write in write_due(state, made, 100)]
    assert ["a"] == [write.name for write in write_due(state, made, 130)]


def test_a_deleted_policy_is_never_due() -> None:
    """A policy may be deleted while its write is due."""
    state, made = schedule("a", "b")
    made.reconsider(state.evaluate(), 100, TODAY)
    state.policy_deleted("a", "uid-a")
    assert ["b"] == [write.name for write in made.due(100, TODAY, 10)]
    made.reconsider(state.evaluate(), 101, TODAY)
    write_due(state, made, 101)

    assert NEVER == made.next

# SPDX-License-Identifier: Apache-2.0
"""The status says what was found out, and is written when that is worth a write."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from oompolicy.controller.policystatus import MESSAGE_LENGTH, Found, Pace, build
from oompolicy.controller.policytable import Known, PolicyTable
from tests.unit.controller.raws import SETTINGS, raw_policy

if TYPE_CHECKING:
    from collections.abc import Mapping

NOW = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)
LATER = datetime(2026, 11, 25, 13, 0, 0, tzinfo=UTC)


def known(**fields: Any) -> Known:  # noqa: ANN401
    table = PolicyTable()
    table.put(raw_policy(**fields))
    return table.known["databases"]


def status(*overlapping: str, matched: int = 3, applied: int = 2, **fields: Any) -> dict[str, Any]:  # noqa: ANN401
    return build(known(**fields), Found(matched, applied, overlapping), NOW)


def condition(built: Mapping[str, Any], kind: str) -> dict[str, Any]:
    (found,) = [each for each in built["conditions"] if each["type"] == kind]
    return dict(found)


def due(pace: Pace, wanted: Mapping[str, Any], there: Mapping[str, Any], now: float) -> float | None:
    return pace.due(wanted, there, now, SETTINGS)


def test_a_policy_with_fields_of_a_newer_version_says_which() -> None:
    """It is applied without them."""
    ready = condition(build(replace(known(), unknown="spec.newField"), Found(3, 2, ()), NOW), "Ready")

    assert ("True", "UnknownFields") == (ready["status"], ready["reason"])
    assert "applied without fields that this operator does not know: spec.newField" in ready["message"]


def test_a_valid_policy_is_ready() -> None:
    """With its counts, of this generation."""
    built = status(generation=4)

    assert (4, 3, 2) == (built["observedGeneration"], built["matchedPods"], built["appliedNodes"])
    expected = {
        "type": "Ready",
        "status": "True",
        "reason": "Valid",
        "message": "the policy is valid",
        "observedGeneration": 4,
        "lastTransitionTime": "2026-11-25T12:00:00Z",
    }
    assert expected == condition(built, "Ready")
    assert ("False", "NoOverlap") == tuple(condition(built, "Overlapping")[key] for key in ("status", "reason"))


def test_an_invalid_policy_says_why_it_is_not_applied() -> None:
    """In the words of the parser, and no longer than somebody reads."""
    built = condition(status(value=5000), "Ready")

    assert ("False", "Invalid") == (built["status"], built["reason"])
    assert built["message"].startswith("the policy is not applied: spec.priority.value: ")
    labels = {f"label {number}": "x" for number in range(100)}
    long = condition(status(match={"podSelector": {"matchLabels": labels}}), "Ready")["message"]
    assert (MESSAGE_LENGTH, "…") == (len(long), long[-1])


def test_an_overlap_names_the_others() -> None:
    """The first ten of them."""
    few = condition(status("caches", "queues", precedence=7), "Overlapping")

    assert ("True", "SamePrecedence") == (few["status"], few["reason"])
    assert "of the same precedence, 7, and for the same pods: caches, queues;" in few["message"]
    many = condition(status(*(f"p{number}" for number in range(12))), "Overlapping")
    assert "p8, p9 and 2 more;" in many["message"]


def test_a_condition_keeps_its_time_until_its_status_changes() -> None:
    """Another message or generation is no transition."""
    before = status("caches")
    same = build(known(status=before, generation=2), Found(9, 9, ("queues",)), LATER)
    changed = build(known(status=before, generation=2), Found(9, 9, ()), LATER)

    assert "2026-11-25T12:00:00Z" == condition(same, "Overlapping")["lastTransitionTime"]
    assert "2026-11-25T13:00:00Z" == condition(changed, "Overlapping")["lastTransitionTime"]
    assert "2026-11-25T12:00:00Z" == condition(changed, "Ready")["lastTransitionTime"]


def test_the_same_status_is_not_written() -> None:
    """The order of the conditions and the time of their transitions do not count."""
    there = status()
    shuffled = {**there, "conditions": [{**c, "lastTransitionTime": "x"} for c in reversed(there["conditions"])]}

    assert due(Pace(), there, shuffled, 100) is None


def test_a_new_generation_is_written_at_once() -> None:
    """However short the last write was ago; a policy without a status is one."""
    pace = Pace()
    pace.wrote({}, status(), 99.9)

    assert 100 == due(pace, status(generation=2), status(), 100)
    assert 100 == due(pace, status(), {}, 100)


def test_a_new_condition_is_written_at_once_but_not_again_and_again() -> None:
    """One that flaps waits for five seconds after the last write."""
    pace = Pace()
    assert 100 == due(pace, status("caches"), status(), 100)
    pace.wrote(status(), status("caches"), 100)

    assert 105 == due(pace, status(), status("caches"), 101)
    assert 200 == due(pace, status(), status("caches"), 200)


def test_counts_are_written_once_a_minute() -> None:
    """The first ones when they have settled."""
    pace = Pace()
    assert 102 == due(pace, status(matched=4), status(), 100)
    assert 102 == due(pace, status(matched=5), status(), 101)
    pace.wrote(status(), status(matched=5), 102)

    assert 162 == due(pace, status(matched=5, applied=3), status(matched=5), 103)
    assert due(pace, status(matched=5), status(matched=5), 104) is None
    assert 202 == due(pace, status(matched=6), status(matched=5), 200)


def test_a_write_for_another_reason_is_not_the_one_for_counts() -> None:
    """So that nodes which apply a new generation show within seconds."""
    pace = Pace()
    pace.wrote({}, status(applied=0), 100)

    assert 103 == due(pace, status(applied=5), status(applied=0), 101)

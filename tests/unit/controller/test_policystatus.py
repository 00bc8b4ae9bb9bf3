# SPDX-License-Identifier: Apache-2.0
"""The status has the counts and conditions of a policy, and a difference is written at the right time."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from oompolicy.conditions import MESSAGE_LENGTH
from oompolicy.controller.policystatus import Pace, PolicyCounts, build
from oompolicy.controller.policytable import PolicyRecord, PolicyTable
from tests.unit.controller.raws import SETTINGS, raw_policy

if TYPE_CHECKING:
    from collections.abc import Mapping

NOW = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)
LATER = datetime(2026, 11, 25, 13, 0, 0, tzinfo=UTC)


def record(**fields: Any) -> PolicyRecord:  # noqa: ANN401
    table = PolicyTable()
    table.put(raw_policy(**fields))
    return table.records["databases"]


def status(*overlapping: str, matched: int = 3, decided: int = 1, applied: int = 2, **fields: Any) -> dict[str, Any]:  # noqa: ANN401
    return build(record(**fields), PolicyCounts(matched, decided, applied, overlapping), NOW)


def condition(built: Mapping[str, Any], kind: str) -> dict[str, Any]:
    (found,) = [each for each in built["conditions"] if each["type"] == kind]
    return dict(found)


def due(pace: Pace, wanted: Mapping[str, Any], current: Mapping[str, Any], now: float) -> float | None:
    return pace.due(wanted, current, now, SETTINGS)


def test_unknown_fields_are_named_in_the_condition() -> None:
    """A policy with fields of a newer version is applied without them."""
    ready = condition(
        build(replace(record(), unknown_fields=("spec.newField",)), PolicyCounts(3, 1, 2, ()), NOW), "Ready"
    )

    assert "True" == ready["status"]
    assert "UnknownFields" == ready["reason"]
    assert "applied without fields that this operator does not know: spec.newField" in ready["message"]


def test_a_policy_that_can_match_no_pod_says_so() -> None:
    """It is valid, so it is ready. Its requirements contradict each other."""
    expressions = [{"key": "a", "operator": "DoesNotExist"}]
    selector = {"matchLabels": {"a": "b"}, "matchExpressions": expressions}
    ready = condition(status(match={"podSelector": selector}), "Ready")

    assert ("True", "NeverApplies") == (ready["status"], ready["reason"])
    assert (
        "the policy is valid, and can match no pod, because the requirements of match.podSelector contradict each other"
        == ready["message"]
    )


def test_values_that_can_apply_to_no_pod_are_named() -> None:
    """A policy applies to node-critical pods only if its match names their class."""
    ready = condition(status(priority={"byPriorityClass": {"system-node-critical": 900, "default": 300}}), "Ready")

    assert ("True", "UnusedValues") == (ready["status"], ready["reason"])
    assert (
        "the policy is valid, and some of its values can apply to no pod: byPriorityClass[system-node-critical],"
        " because a policy applies to node-critical pods only if match.priorityClassNames has this class"
        == ready["message"]
    )


def test_a_valid_policy_is_ready() -> None:
    """The status has the counts and the generation of the policy."""
    built = status(generation=4)

    assert 4 == built["observedGeneration"]
    assert (3, 1) == (built["matchedPods"], built["decidedPods"])
    assert 2 == built["appliedNodes"]
    expected = {
        "type": "Ready",
        "status": "True",
        "reason": "Valid",
        "message": "the policy is valid",
        "observedGeneration": 4,
        "lastTransitionTime": "2026-11-25T12:00:00Z",
    }
    assert expected == condition(built, "Ready")
    assert "False" == condition(built, "Overlapping")["status"]
    assert "NoOverlap" == condition(built, "Overlapping")["reason"]


def test_the_condition_of_an_invalid_policy_has_the_parsers_message() -> None:
    """The message is cut at `MESSAGE_LENGTH`."""
    built = condition(status(value=5000), "Ready")

    assert "False" == built["status"]
    assert "Invalid" == built["reason"]
    assert built["message"].startswith("the policy is not applied: spec.priority.value: ")
    labels = {f"label {number}": "x" for number in range(100)}
    long = condition(status(match={"podSelector": {"matchLabels": labels}}), "Ready")["message"]
    assert MESSAGE_LENGTH == len(long)
    assert "…" == long[-1]


def test_an_overlap_names_the_other_policies() -> None:
    """The message names the first ten policies and the number of the rest."""
    few = condition(status("caches", "queues", precedence=7), "Overlapping")

    assert "True" == few["status"]
    assert "SamePrecedence" == few["reason"]
    assert "policies with the same precedence (7) match some of the same pods: caches, queues. " in few["message"]
    many = condition(status(*(f"p{number}" for number in range(12))), "Overlapping")
    assert "p8, p9 and 2 more. " in many["message"]


def test_a_condition_keeps_its_time_until_its_status_changes() -> None:
    """Another message or generation does not change the time."""
    before = status("caches")
    same = build(record(status=before, generation=2), PolicyCounts(9, 9, 9, ("queues",)), LATER)
    changed = build(record(status=before, generation=2), PolicyCounts(9, 9, 9, ()), LATER)

    assert "2026-11-25T12:00:00Z" == condition(same, "Overlapping")["lastTransitionTime"]
    assert "2026-11-25T13:00:00Z" == condition(changed, "Overlapping")["lastTransitionTime"]
    assert "2026-11-25T12:00:00Z" == condition(changed, "Ready")["lastTransitionTime"]


def test_the_same_status_is_not_written() -> None:
    """The order of the conditions and their times of transition are not compared."""
    wanted = status()
    shuffled = {**wanted, "conditions": [{**c, "lastTransitionTime": "x"} for c in reversed(wanted["conditions"])]}

    assert due(Pace(), wanted, shuffled, 100) is None


def test_a_new_generation_is_written_at_once() -> None:
    """A new generation does not wait for `condition_gap`. A policy without a status is written at once too."""
    pace = Pace()
    pace.wrote({}, status(), 99.9, SETTINGS)

    assert 100 == due(pace, status(generation=2), status(), 100)
    assert 100 == due(pace, status(), {}, 100)


def test_a_flapping_condition_is_written_every_five_seconds() -> None:
    """The first change of a condition is written at once. The next one waits for five seconds after that write."""
    pace = Pace()
    assert 100 == due(pace, status("caches"), status(), 100)
    pace.wrote(status(), status("caches"), 100, SETTINGS)

    assert 105 == due(pace, status(), status("caches"), 101)
    assert 200 == due(pace, status(), status("caches"), 200)


def test_counts_are_written_once_a_minute() -> None:
    """The first write waits until the counts have settled for two seconds."""
    pace = Pace()
    assert 102 == due(pace, status(matched=4), status(), 100)
    assert 102 == due(pace, status(matched=5), status(), 101)
    pace.wrote(status(), status(matched=5), 102, SETTINGS)

    assert 162 == due(pace, status(matched=5, applied=3), status(matched=5), 103)
    assert due(pace, status(matched=5), status(matched=5), 104) is None
    assert 202 == due(pace, status(matched=6), status(matched=5), 200)


def test_a_write_of_a_new_generation_does_not_delay_counts() -> None:
    """The nodes that apply a new generation show within seconds."""
    pace = Pace()
    pace.wrote({}, status(applied=0), 100, SETTINGS)

    assert 103 == due(pace, status(applied=5), status(applied=0), 101)


def test_counts_are_written_often_while_nodes_apply_a_new_generation() -> None:
    """The gap between two writes of counts doubles from four seconds to a minute. A new generation shortens it again.

    A node that needs some seconds longer than the others would otherwise be missing in `appliedNodes` for a minute.
    """
    pace = Pace()
    pace.wrote({}, status(applied=0), 100, SETTINGS)
    now, times = 101.0, []
    for applied in range(1, 8):
        wanted, current = status(applied=applied), status(applied=applied - 1)
        at = due(pace, wanted, current, now)
        assert at is not None
        pace.wrote(current, wanted, at, SETTINGS)
        times.append(at)
        now = at

    assert [4, 8, 16, 32, 60, 60] == [later - before for before, later in pairwise(times)]
    pace.wrote(status(applied=7), status(applied=0, generation=2), now, SETTINGS)
    assert now + 4 > (due(pace, status(applied=1, generation=2), status(applied=0, generation=2), now + 1) or 0)

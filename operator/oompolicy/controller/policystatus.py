# SPDX-License-Identifier: Apache-2.0
"""Builds the status of an OOMPolicy, and decides when a difference is written.

Each write of a status is sent to the agent of every node. Counts change all the time, so they are written rarely.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from oompolicy.conditions import TRANSITION, condition, transition_time
from oompolicy.resolve.unused import contradictions, unused_values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from oompolicy.controller.policytable import PolicyRecord
    from oompolicy.controller.settings import Settings
    from oompolicy.model import OOMPolicy

NAMES: Final = 10
"""The number of policies that a message names."""

COUNTS: Final = ("matchedPods", "decidedPods", "appliedNodes")


class Reason(StrEnum):
    """The reasons of the conditions of an OOMPolicy. docs/reference.md describes each of them."""

    VALID = "Valid"
    UNKNOWN_FIELDS = "UnknownFields"
    NEVER_APPLIES = "NeverApplies"
    UNUSED_VALUES = "UnusedValues"
    INVALID = "Invalid"
    NO_OVERLAP = "NoOverlap"
    SAME_PRECEDENCE = "SamePrecedence"


@dataclass(frozen=True, slots=True)
class PolicyCounts:
    """The numbers of one policy, and the policies that tie with it.

    They are the pods that it matches, those of them to which it gives the priority, and the nodes that apply it.
    """

    matched: int
    decided: int
    applied: int
    overlapping: Sequence[str]


def build(record: PolicyRecord, counts: PolicyCounts, now: datetime) -> dict[str, Any]:
    """Return the status of a policy. A condition keeps its time of transition while its `status` is the same."""
    before = {each["type"]: each for each in record.status.get("conditions", ())}
    made = (_ready(record), _overlapping(record, counts.overlapping))
    return {
        "observedGeneration": record.generation,
        "matchedPods": counts.matched,
        "decidedPods": counts.decided,
        "appliedNodes": counts.applied,
        "conditions": [
            each
            | {"observedGeneration": record.generation}
            | {TRANSITION: transition_time(each, before.get(each["type"]), now)}
            for each in made
        ],
    }


@dataclass(slots=True)
class Pace:
    """The times of the writes of one status, in seconds of a monotonic clock. `counts` are its fields with numbers."""

    counts: tuple[str, ...] = COUNTS
    written: float = float("-inf")
    counts_written: float = float("-inf")
    counts_differ_since: float | None = None
    count_gap: float = float("inf")  # at most that of the settings

    def due(
        self, wanted: Mapping[str, Any], current: Mapping[str, Any], now: float, settings: Settings
    ) -> float | None:
        """Return the time at which `wanted` replaces the `current` status, or `None` if both are the same."""
        if wanted["observedGeneration"] != current.get("observedGeneration"):
            return now
        if _timeless(wanted) != _timeless(current):
            return max(now, self.written + settings.condition_gap)
        if all(wanted[count] == current.get(count) for count in self.counts):
            self.counts_differ_since = None
            return None
        if self.counts_differ_since is None:
            self.counts_differ_since = now
        gap = min(self.count_gap, settings.count_gap)
        return max(self.counts_differ_since + settings.count_settle, self.counts_written + gap)

    def wrote(self, replaced: Mapping[str, Any], wanted: Mapping[str, Any], now: float, settings: Settings) -> None:
        """Record that `wanted` was written over `replaced`. Only a write of counts alone starts their gap.

        The gap is short after a new generation and doubles with each write of counts. Without this, a count that was
        written while some nodes had not yet applied the new generation would be shown for the whole of `count_gap`.
        """
        self.written = now
        if wanted["observedGeneration"] != replaced.get("observedGeneration"):
            self.count_gap = settings.count_settle
        elif _timeless(wanted) == _timeless(replaced):
            self.counts_written = now
            self.count_gap = min(2 * self.count_gap, settings.count_gap)
        self.counts_differ_since = None


def _ready(record: PolicyRecord) -> dict[str, str]:
    if record.policy and record.unknown_fields:
        fields = ", ".join(record.unknown_fields)
        message = f"the policy is applied without fields that this operator does not know: {fields}"
        return condition("Ready", True, Reason.UNKNOWN_FIELDS, message)
    if record.policy:
        return condition("Ready", True, *_valid(record.policy))
    return condition("Ready", False, Reason.INVALID, f"the policy is not applied: {record.problem}")


def _valid(policy: OOMPolicy) -> tuple[Reason, str]:
    """Return the reason and the message for a valid policy, of which some parts may never apply."""
    never, unused = contradictions(policy.match), unused_values(policy)
    if never:
        named = " and ".join(f"match.{selector}" for selector in never)
        why = f"the requirements of {named} contradict each other"
        return Reason.NEVER_APPLIES, f"the policy is valid, and can match no pod, because {why}"
    if unused:
        named = ". ".join(f"{field}, because {why}" for field, why in unused.items())
        return Reason.UNUSED_VALUES, f"the policy is valid, and some of its values can apply to no pod: {named}"
    return Reason.VALID, "the policy is valid"


def _overlapping(record: PolicyRecord, others: Sequence[str]) -> dict[str, str]:
    if not others or not record.policy:
        message = "no other policy ties with this policy for the highest precedence on any pod"
        return condition("Overlapping", False, Reason.NO_OVERLAP, message)
    named = ", ".join(others[:NAMES]) + (f" and {len(others) - NAMES} more" if len(others) > NAMES else "")
    message = f"policies with the same precedence ({record.policy.precedence}) match some of the same pods: {named}."
    return condition("Overlapping", True, Reason.SAME_PRECEDENCE, f"{message} The alphabetically first policy applies")


def _timeless(status: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the conditions by type without their times, which change only with their status."""
    return {
        each["type"]: {key: value for key, value in each.items() if key != TRANSITION}
        for each in status.get("conditions", ())
    }

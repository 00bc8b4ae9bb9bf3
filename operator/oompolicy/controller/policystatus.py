# SPDX-License-Identifier: Apache-2.0
"""What the status of an OOMPolicy should be, and when a difference is worth a write.

A status goes to the agent of every node, so counts, which move all the time, are written rarely.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from oompolicy.controller.policytable import Known
    from oompolicy.controller.settings import Settings

MESSAGE_LENGTH: Final = 1024
"""Far below the 32,768 of metav1.Condition: it is read by people."""
NAMES: Final = 10
"""Policies named in a message."""

_TRANSITION: Final = "lastTransitionTime"


class Reason(StrEnum):
    """Why a condition of an OOMPolicy is as it is: docs/reference.md tells of each what to do."""

    VALID = "Valid"
    UNKNOWN_FIELDS = "UnknownFields"
    INVALID = "Invalid"
    NO_OVERLAP = "NoOverlap"
    SAME_PRECEDENCE = "SamePrecedence"


@dataclass(frozen=True, slots=True)
class Found:
    """What was found out about one policy."""

    matched: int
    applied: int
    overlapping: Sequence[str]


def build(known: Known, found: Found, now: datetime) -> dict[str, Any]:
    """The status. A condition that is in the present one with the same `status` keeps its time of transition."""
    before = {condition["type"]: condition for condition in known.status.get("conditions", ())}
    conditions = (_ready(known), _overlapping(known, found.overlapping))
    return {
        "observedGeneration": known.generation,
        "matchedPods": found.matched,
        "appliedNodes": found.applied,
        "conditions": [
            {**condition, "observedGeneration": known.generation, _TRANSITION: _since(condition, before, now)}
            for condition in conditions
        ],
    }


@dataclass(slots=True)
class Pace:
    """When one policy's status was written, in seconds of a monotonic clock."""

    written: float = float("-inf")
    counts_written: float = float("-inf")
    counts_differ_since: float | None = None

    def due(self, wanted: Mapping[str, Any], there: Mapping[str, Any], now: float, settings: Settings) -> float | None:
        """When `wanted` is to be written over what is `there`; `None`: they are the same."""
        if wanted["observedGeneration"] != there.get("observedGeneration"):
            return now
        if _timeless(wanted) != _timeless(there):
            return max(now, self.written + settings.condition_gap)
        if all(wanted[count] == there.get(count) for count in ("matchedPods", "appliedNodes")):
            self.counts_differ_since = None
            return None
        if self.counts_differ_since is None:
            self.counts_differ_since = now
        return max(self.counts_differ_since + settings.count_settle, self.counts_written + settings.count_gap)

    def wrote(self, there: Mapping[str, Any], wanted: Mapping[str, Any], now: float) -> None:
        """`wanted` stands where `there` was. A write for another reason is not the minute's one for counts."""
        self.written = now
        if wanted["observedGeneration"] == there.get("observedGeneration") and _timeless(wanted) == _timeless(there):
            self.counts_written = now
        self.counts_differ_since = None


def _ready(known: Known) -> dict[str, str]:
    if known.policy and known.unknown:
        message = f"the policy is applied without fields that this operator does not know: {known.unknown}"
        return _condition("Ready", True, Reason.UNKNOWN_FIELDS, message)
    if known.policy:
        return _condition("Ready", True, Reason.VALID, "the policy is valid")
    return _condition("Ready", False, Reason.INVALID, f"the policy is not applied: {known.problem}")


def _overlapping(known: Known, others: Sequence[str]) -> dict[str, str]:
    if not others or not known.policy:
        return _condition("Overlapping", False, Reason.NO_OVERLAP, "no pod is left to the order of names")
    named = ", ".join(others[:NAMES]) + (f" and {len(others) - NAMES} more" if len(others) > NAMES else "")
    message = f"of the same precedence, {known.policy.precedence}, and for the same pods: {named};"
    return _condition("Overlapping", True, Reason.SAME_PRECEDENCE, f"{message} the first by name decides")


def _condition(kind: str, status: bool, reason: Reason, message: str) -> dict[str, str]:
    text = message if len(message) <= MESSAGE_LENGTH else message[: MESSAGE_LENGTH - 1] + "…"
    return {"type": kind, "status": "True" if status else "False", "reason": reason, "message": text}


def _since(condition: Mapping[str, str], before: Mapping[str, Mapping[str, Any]], now: datetime) -> str:
    old = before.get(condition["type"], {})
    same = old.get("status") == condition["status"] and _TRANSITION in old
    return str(old[_TRANSITION]) if same else f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _timeless(status: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Conditions by type, without the time, which says nothing that their status does not."""
    return {
        condition["type"]: {key: value for key, value in condition.items() if key != _TRANSITION}
        for condition in status.get("conditions", ())
    }

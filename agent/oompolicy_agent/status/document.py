# SPDX-License-Identifier: Apache-2.0
"""Writes what the agent knows of its node: status.json, which becomes OOMNode.status. Building it is pure."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from oompolicy_agent.kernel.attachment import ENFORCING
from oompolicy_agent.kernel.layout import Stat
from oompolicy_agent.plumbing.files import write_atomic
from oompolicy_agent.plumbing.text import utf8
from oompolicy_agent.plumbing.turns import in_turns
from oompolicy_agent.settings import MODE
from oompolicy_agent.status.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from oompolicy.model import Assignment, Pod, Refusal
    from oompolicy_agent.kernel.attachment import Attachment
    from oompolicy_agent.status.reasons import Area

LAST_VICTIMS: Final = 10
LISTED: Final = 100
"""Refused annotations, and pods without a cgroup, that status.json lists: more are not read, but written each time."""
MESSAGE_LENGTH: Final = 1024
"""Far below the 32,768 of metav1.Condition: it is read by people."""

# Problems that make the node not ready, by area, and the reason its conditions give.
READINESS: Final[Mapping[Area, Reason]] = {
    "manifests": Reason.INVALID_MANIFESTS,
    "api": Reason.NOT_SYNCED,
    "tree": Reason.CGROUPS_UNREADABLE,
    "pins": Reason.PINS_MISSING,
    "attach": Reason.NOT_ATTACHED,
    "map": Reason.MAP_NOT_WRITTEN,
}
SILENCE: Final[Mapping[Area, Reason]] = {"api": Reason.NOT_SYNCED, "deaf": Reason.API_UNREACHABLE}
"""Areas of problems with hearing from the API server, before it has told all there is and after; and their reasons.

`deaf` is not among READINESS: an API server that is away says nothing of what is in the kernel, and must not turn
the agents of all its nodes red at once (fail static).
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """All that goes into the status. `problems`: area -> sentences; those that READINESS lists make it red."""

    attachment: Attachment
    policy_hash: str
    pods: tuple[Pod, ...]
    not_mapped: tuple[Pod, ...]
    entries: int
    entries_missing: int
    counters: Mapping[Stat, int]
    spooled: int
    spool_dropped: int
    problems: Mapping[Area, tuple[str, ...]]
    assignments: tuple[Assignment, ...] = ()
    claims_refused: int = 0
    last_victims: tuple[Mapping[str, Any], ...] = field(default=())

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the node is not ready; empty when it is."""
        return reasons(self.problems)

    @property
    def annotations_refused(self) -> int:
        """The number of annotations of pods that are not obeyed."""
        return sum(len(each.refusals) + each.more_refusals for each in self.assignments)


def build(view: View, previous: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """The status. `previous` gives the conditions that did not change their time of transition."""
    counters = view.counters
    refusals = _refusals(view.assignments)
    live = sum(not pod.finished for pod in view.pods)
    return {
        "mode": MODE,
        "backend": view.attachment.backend or None,
        "hook": view.attachment.hook or None,
        "kernelVersion": view.attachment.kernel_version,
        "policyHash": view.policy_hash or None,
        "counts": {
            "pods": live,
            "podsMapped": live - len(view.not_mapped),
            "mapEntries": view.entries,
            "mapEntriesMissing": view.entries_missing,
            "victims": counters.get(Stat.VICTIMS, 0),
            "victimsDropped": counters.get(Stat.VICTIMS_DROPPED, 0),
            "cgroupsDropped": counters.get(Stat.CGROUPS_DROPPED, 0),
            "entriesDeleted": counters.get(Stat.ENTRIES_DELETED, 0),
            "selections": counters.get(Stat.SELECTIONS, 0),
            "bypassed": counters.get(Stat.BYPASSED, 0),
            "nobody": counters.get(Stat.NOBODY, 0),
            "eventsSpooled": view.spooled,
            "eventsDropped": view.spool_dropped,
        },
        "notMapped": [{"namespace": p.namespace, "name": p.name, "uid": p.uid} for p in view.not_mapped[:LISTED]],
        "refusals": refusals,
        "moreRefusals": view.annotations_refused - len(refusals),
        "problems": [sentence for sentences in view.problems.values() for sentence in sentences],
        "lastVictims": list(view.last_victims),
        "conditions": _conditions(view, previous, now),
    }


def reasons(problems: Mapping[Area, tuple[str, ...]]) -> tuple[str, ...]:
    """Why the node is not ready; empty when it is."""
    return tuple(sentence for area in READINESS for sentence in problems.get(area, ()))


def write(path: Path, status: Mapping[str, Any]) -> None:
    """Replace the file; readable by anyone. OSError."""
    data = json.dumps(status, indent=1, ensure_ascii=False) + "\n"
    write_atomic(path, utf8(data), durable=False, mode=0o644)


def warnings(attachment: Attachment, counters: Mapping[Stat, int]) -> tuple[str, ...]:
    """What keeps the hook from being asked although it is attached, the gravest first."""
    bypassed = counters.get(Stat.BYPASSED, 0)
    counted = f"the OOM killer killed {bypassed} processes without asking the hook" if bypassed else ""
    return tuple(filter(None, (attachment.disabled, *attachment.warnings, counted)))


def _refusals(assignments: Iterable[Assignment]) -> list[dict[str, str]]:
    """The refused annotations that are listed, some of each namespace."""
    pairs = [(assignment, refusal) for assignment in assignments for refusal in assignment.refusals]
    return [_refusal(*pair) for pair in in_turns(pairs, lambda pair: pair[0].namespace)[:LISTED]]


def _refusal(assignment: Assignment, refusal: Refusal) -> dict[str, str]:
    return {
        "namespace": assignment.namespace,
        "name": assignment.pod_name,
        "annotation": refusal.annotation,
        "value": refusal.value,
        "message": refusal.message,
    }


def _conditions(view: View, previous: Mapping[str, Any], now: datetime) -> list[dict[str, Any]]:
    before = {condition["type"]: condition for condition in previous.get("conditions", ())}
    made = (_ready(view), _enforcing(view), _synced(view))
    return [_dated(condition, before.get(condition["type"]), now) for condition in made]


def _ready(view: View) -> dict[str, str]:
    found = view.reasons
    reason = next((READINESS[area] for area in READINESS if view.problems.get(area)), Reason.READY)
    return _condition("Ready", not found, reason, "; ".join(found) or "all is in place")


def _enforcing(view: View) -> dict[str, str]:
    attachment, warned = view.attachment, warnings(view.attachment, view.counters)
    message = attachment.problem or attachment.message or f"backend {attachment.backend}, hook {attachment.hook}"
    reason = _enforcing_reason(attachment, warned)
    # What turns enforcement off is the first thing to read.
    sentences = (message, *warned) if attachment.problem or not attachment.disabled else (*warned, message)
    return _condition("Enforcing", attachment.enforcing, reason, "; ".join(sentences))


def _enforcing_reason(attachment: Attachment, warned: tuple[str, ...]) -> Reason:
    if attachment.problem:
        return Reason.NOT_ATTACHED
    if attachment.backend == ENFORCING:
        return Reason.BYPASSED if warned else Reason.ATTACHED
    # Another version's loader may know backends that we do not.
    return Reason.OBSERVE_ONLY if attachment.backend == Reason.OBSERVE_ONLY else Reason.UNKNOWN_BACKEND


def _synced(view: View) -> dict[str, str]:
    if found := _out_of_sync(view):
        return _condition("Synced", False, *found)
    if unknown := view.problems.get("fields"):
        message = f"policies are applied without fields that this agent does not know: {'; '.join(unknown)}"
        return _condition("Synced", True, Reason.UNKNOWN_FIELDS, message)
    if view.not_mapped:
        drivers = view.problems.get("drivers", ())
        message = "; ".join(drivers or [f"{len(view.not_mapped)} pods have no cgroup yet"])
        return _condition("Synced", True, Reason.PODS_NOT_MAPPED, message)
    return _condition("Synced", True, Reason.SYNCED, f"{view.entries} entries")


def _out_of_sync(view: View) -> tuple[Reason, str] | None:
    """Why the map is not what policies and pods say."""
    if view.entries_missing:
        message = f"the map is full: {view.entries_missing} entries are missing, and their nearest parent's hold"
        return Reason.MAP_FULL, message
    areas: tuple[Area, ...] = ("pins", "map", "tree")
    blocked = [area for area in areas if view.problems.get(area)]
    if blocked:
        return READINESS[blocked[0]], "; ".join(view.problems[blocked[0]])
    if view.problems.get("manifests"):
        return Reason.LAST_GOOD_STATE, "the last good manifests are enforced"
    if silent := next((area for area in SILENCE if view.problems.get(area)), None):
        return SILENCE[silent], "; ".join(view.problems[silent])
    if left_out := view.problems.get("policies"):
        message = f"policies that this agent cannot read are not applied: {'; '.join(left_out)}"
        return Reason.POLICIES_LEFT_OUT, message
    return None


def _condition(kind: str, status: bool, reason: Reason, message: str) -> dict[str, str]:
    text = message if len(message) <= MESSAGE_LENGTH else message[: MESSAGE_LENGTH - 1] + "…"
    return {"type": kind, "status": "True" if status else "False", "reason": reason, "message": text}


def _dated(condition: dict[str, str], before: Mapping[str, Any] | None, now: datetime) -> dict[str, Any]:
    same = before is not None and before.get("status") == condition["status"]
    since = before.get("lastTransitionTime") if same and before else None
    return condition | {"lastTransitionTime": since or f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"}

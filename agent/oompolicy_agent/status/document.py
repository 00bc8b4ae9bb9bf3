# SPDX-License-Identifier: Apache-2.0
"""Builds the status of the node, writes it to status.json, and gives the reasons of its conditions.

The same status becomes OOMNode.status. Building it is pure.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from oompolicy.conditions import MESSAGE_LENGTH, TRANSITION, condition, transition_time
from oompolicy.oomsettings import Mode
from oompolicy.text import clip
from oompolicy_agent.kernel.backend import Backend
from oompolicy_agent.kernel.layout import Stat
from oompolicy_agent.plumbing.files import write_atomic
from oompolicy_agent.plumbing.text import utf8
from oompolicy_agent.plumbing.turns import in_turns
from oompolicy_agent.status import scores
from oompolicy_agent.status.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from pathlib import Path

    from oompolicy.model import Assignment, Pod, Refusal
    from oompolicy_agent.kernel.attachment import Attachment
    from oompolicy_agent.status.scores import Scores

LAST_VICTIMS: Final = 10
LISTED: Final = 100
"""The number of refused annotations, and of pods without a cgroup, in status.json, which is written at each change."""

READINESS: Final = (
    Reason.INVALID_MANIFESTS,
    Reason.NOT_SYNCED,
    Reason.CGROUPS_UNREADABLE,
    Reason.PINS_MISSING,
    Reason.NOT_ATTACHED,
    Reason.KERNEL_LOG_UNREADABLE,
    Reason.MAP_NOT_WRITTEN,
    Reason.MODE_NOT_SET,
    Reason.REQUEST_NOT_WRITTEN,
    Reason.ADJUSTER_SILENT,
    Reason.SCORES_NOT_WRITTEN,
)
"""The problems that make the node not ready. The first that the node has is the reason of its condition.

APIUnreachable is not among them. An API server that is unreachable does not change the priorities in the kernel, and
must not make the agents of all its nodes unready at once (fail static).
"""

_NOT_ENFORCING: Final = {
    Mode.AUDIT: (
        Reason.AUDIT,
        "mode Audit: the kernel chooses each victim, and its Event names the process that the policy would have killed",
    ),
    Mode.OFF: (Reason.OFF, "mode Off: the kernel chooses each victim"),
}
"""Reason and message of the condition Enforcing on a node that could enforce, and has a mode in which it does not."""

_FROM_LOG: Final = "victims come from the kernel's log"
_HOOKS: Final = {"Kernel": "this kernel has the hook", "Module": "the hook's module is loaded"}
"""The reason of the backend EvaluateTask."""

_NOT_APPLIED: Final = {
    Reason.POLICIES_LEFT_OUT: "policies that this agent cannot read are not applied: ",
    Reason.KILL_SCOPE_NOT_APPLIED: "",
}
"""The problems with policies, and the words before their sentences in the condition Synced."""

SILENCE: Final = (Reason.NOT_SYNCED, Reason.API_UNREACHABLE)
"""The problems with the API server: before its first complete lists, and after them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The facts that the status is built from. `problems` has the sentences of each reason.

    `max_kills` is `maxKillsPerMinute` of OOMSettings, 0 for no limit. `circuit` is a sentence while it is open.
    `kernel_log` is True while victims come from the kernel's log.
    """

    attachment: Attachment
    mode: Mode | None
    policy_hash: str
    pods: tuple[Pod, ...]
    not_mapped: tuple[Pod, ...]
    entries: int
    entries_missing: int
    counters: Mapping[Stat, int]
    spooled: int
    spool_dropped: int
    problems: Mapping[Reason, tuple[str, ...]]
    assignments: tuple[Assignment, ...] = ()
    claims_refused: int = 0
    last_victims: tuple[Mapping[str, Any], ...] = field(default=())
    max_kills: int = 0
    circuit: str = ""
    scores: Scores | None = None
    kernel_log: bool = False

    @property
    def backend(self) -> str:
        """The backend of the node. The loader reports the others."""
        return Backend.OOM_SCORE_ADJ if self.scores else self.attachment.backend

    @property
    def reasons(self) -> tuple[str, ...]:
        """The sentences that say why the node is not ready. Empty if it is ready."""
        return reasons(self.problems)

    @property
    def annotations_refused(self) -> int:
        """The number of refused annotations of all pods."""
        return sum(len(each.refusals) + each.more_refusals for each in self.assignments)


def build(view: View, previous: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Return the status. A condition keeps its time of transition from `previous` as long as its status stays."""
    counters = view.counters
    refusals = _refusals(view.assignments)
    live = sum(not pod.finished for pod in view.pods)
    return {
        "mode": view.mode,
        "backend": view.backend or None,
        "backendReason": _backend_reason(view),
        "hook": view.attachment.hook or None,
        "kernelVersion": view.attachment.kernel_version,
        "policyHash": view.policy_hash or None,
        "order": scores.field_of(view.scores.order) if view.scores else None,
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


def reasons(problems: Mapping[Reason, tuple[str, ...]]) -> tuple[str, ...]:
    """Return the sentences that say why the node is not ready. They are empty if it is ready."""
    return tuple(sentence for reason in READINESS for sentence in problems.get(reason, ()))


def write(path: Path, status: Mapping[str, Any]) -> None:
    """Replace the file, which every user may read. Raise OSError if that fails."""
    data = json.dumps(status, indent=1, ensure_ascii=False) + "\n"
    write_atomic(path, utf8(data), durable=False, mode=0o644)


def warnings(attachment: Attachment, counters: Mapping[Stat, int]) -> tuple[str, ...]:
    """Return a sentence for each fact that keeps the kernel from asking the attached hook, the most severe first."""
    bypassed = counters.get(Stat.BYPASSED, 0)
    counted = f"the OOM killer killed {bypassed} processes without asking the hook" if bypassed else None
    return tuple(filter(None, (*_bypasses(attachment), counted)))


def _refusals(assignments: Iterable[Assignment]) -> list[dict[str, str]]:
    """Return the refused annotations to list, with some of each namespace."""
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
    before = {each["type"]: each for each in previous.get("conditions", ())}
    order = scores.order_holds(view.scores.order) if view.scores else None
    made = (_ready(view), _enforcing(view), _synced(view), _proven(view.attachment), order, *_circuit(view))
    return [each | {TRANSITION: transition_time(each, before.get(each["type"]), now)} for each in made if each]


def _ready(view: View) -> dict[str, str]:
    found = view.reasons
    reason = next((reason for reason in READINESS if view.problems.get(reason)), Reason.READY)
    parts = ("the map is written", "the adjuster reports" if view.scores else "the program is attached")
    if view.kernel_log:
        parts = ("the adjuster reports", _FROM_LOG)
    message = "; ".join(found) or f"all objects are received, {' and '.join(parts)}"
    return condition("Ready", not found, reason, message)


def _enforcing(view: View) -> dict[str, str]:
    if view.scores:
        words = _NOT_ENFORCING[view.mode][1] if view.mode in _NOT_ENFORCING else None
        if view.mode is Mode.AUDIT and view.circuit:
            words = view.circuit
        return scores.enforcing(view.scores, view.attachment, words)
    attachment, warned = view.attachment, warnings(view.attachment, view.counters)
    if attachment.enforcing and view.circuit and view.mode is Mode.AUDIT:
        return condition("Enforcing", False, Reason.TOO_MANY_KILLS, view.circuit)
    if attachment.enforcing and view.mode in _NOT_ENFORCING:
        return condition("Enforcing", False, *_NOT_ENFORCING[view.mode])
    message = attachment.problem or attachment.message or f"backend {attachment.backend}, hook {attachment.hook}"
    reason = _enforcing_reason(attachment, warned)
    # The sentence that explains why nothing is enforced comes first.
    sentences = (message, *warned) if attachment.problem or not attachment.disabled else (*warned, message)
    return condition("Enforcing", attachment.enforcing, reason, "; ".join(sentences))


def _backend_reason(view: View) -> str:
    """Return the reason why the node has this backend and no better one. It is the same in every mode."""
    attachment = view.attachment
    found = _HOOKS.get(attachment.hook, "the loader does not say why")
    source = (_FROM_LOG,) if view.kernel_log else ()
    parts = (attachment.problem or attachment.message or found, *source, *_bypasses(attachment))
    return clip("; ".join(parts), MESSAGE_LENGTH)


def _bypasses(attachment: Attachment) -> Iterable[str]:
    return filter(None, (attachment.disabled, *attachment.warnings))


def _enforcing_reason(attachment: Attachment, warned: tuple[str, ...]) -> Reason:
    if attachment.problem:
        return Reason.NOT_ATTACHED
    if attachment.backend == Backend.EVALUATE_TASK:
        return Reason.BYPASSED if warned else Reason.ATTACHED
    # The loader of another version may report a backend that this agent does not know.
    return Reason.OBSERVE_ONLY if attachment.backend == Backend.OBSERVE_ONLY else Reason.UNKNOWN_BACKEND


def _proven(attachment: Attachment) -> dict[str, str]:
    """Return the result of the loader's proof. It is not that of the programs which an agent finds missing."""
    proof = attachment.proof
    if proof is None:
        message = attachment.problem or f"the loader has made no proof for the backend {attachment.backend}"
        return {**condition("Proven", False, Reason.NOT_PROVED, message), "status": "Unknown"}
    made = f"backend {Backend.EVALUATE_TASK}, hook {proof.hook}, kernel {proof.kernel}, {proof.time}"
    found = condition("Proven", False, Reason(proof.reason), f"{proof.message} ({made})")
    return {**found, "status": proof.reason.status}


def _circuit(view: View) -> Iterable[dict[str, str]]:
    """Return the condition CircuitOpen. A node without a limit has none."""
    if view.circuit:
        yield condition("CircuitOpen", True, Reason.TOO_MANY_KILLS, view.circuit)
    elif view.max_kills:
        message = f"the policies chose at most {view.max_kills} victims within a minute (maxKillsPerMinute)"
        yield condition("CircuitOpen", False, Reason.WITHIN_LIMIT, message)


def _synced(view: View) -> dict[str, str]:
    if found := _out_of_sync(view):
        return condition("Synced", False, *found)
    if unknown := view.problems.get(Reason.UNKNOWN_FIELDS):
        message = f"objects are applied without fields that this agent does not know: {'; '.join(unknown)}"
        return condition("Synced", True, Reason.UNKNOWN_FIELDS, message)
    if view.not_mapped:
        drivers = view.problems.get(Reason.CGROUP_DRIVERS_DIFFER, ())
        message = "; ".join(drivers or [f"{len(view.not_mapped)} pods have no cgroup yet"])
        return condition("Synced", True, Reason.PODS_NOT_MAPPED, message)
    return condition("Synced", True, Reason.SYNCED, f"{view.entries} entries")


def _out_of_sync(view: View) -> tuple[Reason, str] | None:
    """Return why the node does not have the priorities and kill scopes that policies ask for, or None if it has."""
    problems = view.problems
    if view.entries_missing:
        message = f"the map is full: {view.entries_missing} entries are missing, and the nearest parent's entry applies"
        return Reason.MAP_FULL, message
    for reason in (Reason.PINS_MISSING, Reason.MAP_NOT_WRITTEN, Reason.CGROUPS_UNREADABLE):
        if problems.get(reason):
            return reason, "; ".join(problems[reason])
    if problems.get(Reason.INVALID_MANIFESTS):
        return Reason.LAST_GOOD_STATE, "the last good manifests are enforced"
    for reason in SILENCE:
        if problems.get(reason):
            return reason, "; ".join(problems[reason])
    for reason, words in _NOT_APPLIED.items():
        if problems.get(reason):
            return reason, f"{words}{'; '.join(problems[reason])}"
    return None

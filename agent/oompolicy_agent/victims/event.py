# SPDX-License-Identifier: Apache-2.0
"""Describe a named victim as an `events.k8s.io/v1` Event. Pure.

The API's rules are in Kubernetes' pkg/apis/core/validation/events.go.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from oompolicy.api import API_VERSION
from oompolicy.oomsettings import Mode
from oompolicy.text import clip
from oompolicy.timestamps import api_micro_time
from oompolicy_agent.kernel.layout import VictimFlag
from oompolicy_agent.plumbing.text import clip_start, fit_bytes, printable
from oompolicy_agent.status.reasons import Comparison, EventReason
from oompolicy_agent.victims.naming import SANDBOX_SCORE_ADJ

if TYPE_CHECKING:
    from oompolicy_agent.mapping.owners import Owner
    from oompolicy_agent.victims.naming import NamedVictim
    from oompolicy_agent.victims.record import Process, Victim
    from oompolicy_agent.victims.verdict import Verdict

NOTE_BYTES: Final = 1024
NAME_LENGTH: Final = 253
INSTANCE_LENGTH: Final = 128
CONTROLLER: Final = "oompolicy.dev/agent"
_UNLOGGED: Final = "the kernel logs it for at most 10 OOMs in 5 seconds"
FOREIGN: Final = "a process of a pod in another namespace"
"""The words for a process that the victim's namespace must not learn about."""

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_MIB: Final = 1024 * 1024
# Characters of one name within the note. A pod's name may have 253, and the note has to hold four names.
_SHORT: Final = 90
_EXACT: Final = 10
_FIELDS: Final = {"init": "initContainers", "sidecar": "initContainers", "ephemeral": "ephemeralContainers"}


def event(named: NamedVictim, node: str, realtime_offset_ns: int, *, disclose: bool) -> dict[str, Any]:
    """Return the Event. `realtime_offset_ns` is the time of day minus the boot clock, in the victim's boot.

    Without `disclose`, `note` does not name processes in pods of other namespaces.
    """
    regarding = regarding_of(named.owner, node)
    document: dict[str, Any] = {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {
            "name": event_name(regarding["name"], named.victim),
            "namespace": regarding.get("namespace", "default"),
        },
        "eventTime": micro_time(named.victim.boottime_ns + realtime_offset_ns),
        "type": "Warning",
        "reason": EventReason.VICTIM_KILLED,
        "action": "Kill",
        "reportingController": CONTROLLER,
        "reportingInstance": node[:INSTANCE_LENGTH],
        "regarding": regarding,
    }
    if related := _related(named):
        document["related"] = related
    return document | {"note": note(named, disclose=disclose)}


def event_name(subject: str, victim: Victim) -> str:
    """Return the Event's name. It is the same for each report of the same victim, so a retry makes no second Event."""
    return named_for(subject, victim.identity)


def named_for(subject: str, digest: str) -> str:
    """Return an Event's name, a DNS subdomain: the name of the object that it regards, and 16 digits."""
    return f"{subject[: NAME_LENGTH - 17].rstrip('.-')}.{digest}"


def micro_time(realtime_ns: int) -> str:
    """Return a metav1.MicroTime."""
    seconds, rest = divmod(realtime_ns, 1_000_000_000)
    return api_micro_time(datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1000))


def nanoseconds(text: str) -> int:
    """Return the time of a metav1.MicroTime, in nanoseconds since the epoch. ValueError if it is none."""
    time = datetime.fromisoformat(text)
    return int(time.replace(microsecond=0).timestamp()) * 1_000_000_000 + time.microsecond * 1000


def note(named: NamedVictim, *, disclose: bool) -> str:
    """Return the text of the Event, in at most 1,024 bytes. The most important fact comes first.

    Users who may read the Events of one namespace must not learn from it which pods run in another one. So without
    `disclose`, it does not name the trigger and the spared process if they run there.
    """
    victim = named.victim
    memory = f"anon-rss {victim.anon_pages * _PAGE // _MIB} MiB"
    text = f"Kernel OOM killer killed {victim.comm} (pid {victim.tgid}, {memory}) in {_place(named)}: "
    together = ["killed together with the chosen process"] if victim.flags & VictimFlag.GROUP else []
    parts = [_scope(named), *together, _priority(named)]
    if named.verdict:
        parts += _scored(named, named.verdict, disclose=disclose)
    parts += _source(named, disclose=disclose)
    if victim.spared:
        parts.append(_spared(named, victim.spared, disclose=disclose))
    elif victim.mode is Mode.AUDIT:
        parts.append(_audited(victim))
    return fit_bytes(printable(text + "; ".join(parts)), NOTE_BYTES)


def subject(owner: Owner) -> str:
    """Return the pod, and its container if known, in a few words."""
    pod = (
        f"pod {clip(owner.namespace, _SHORT)}/{clip(owner.pod, _SHORT)}" if owner.pod else f"pod uid {owner.cgroup_uid}"
    )
    if owner.container:
        return f"container {clip(owner.container, _SHORT)} of {pod}"
    return f"container id {owner.container_id[:12]} of {pod}" if owner.container_id else pod


def _place_of(owner: Owner | None) -> str:
    """Return the words that follow a process's name and say where it runs."""
    if owner is None:
        return ", owner unknown"
    if owner.kind == "host":
        return ", a process of the host"
    return f" in {subject(owner)}" if owner.cgroup_uid else " in an unknown pod"


def _place(named: NamedVictim) -> str:
    if not named.victim.names:
        return "a cgroup that the kernel's log does not name"
    if not named.owner.cgroup_uid:
        return f"cgroup {clip_start(named.victim.path, 2 * _SHORT)}{_place_of(named.owner)}"
    if not named.owner.container and named.victim.oom_score_adj <= SANDBOX_SCORE_ADJ:
        return f"the sandbox of {subject(named.owner)}"
    return subject(named.owner)


def _scope(named: NamedVictim) -> str:
    path = clip_start(named.scope_path, 2 * _SHORT)
    if named.scope == "Node" and named.victim.flags & VictimFlag.CONSTRAINED:
        return "scope Node: no memory is left on the NUMA nodes that its cpuset or memory policy allows"
    return {
        "Node": "scope Node: the node ran out of memory",
        "Kubepods": f"scope Kubepods: the pods together reached the limit of {path or 'their cgroup'}",
        "Pod": "scope Pod: the pod reached its memory limit",
        "Container": "scope Container: the container reached its memory limit",
        "Other": f"scope Other: the limit of cgroup {path or f'with id {named.victim.scope_cgroup_id}'} was reached",
        "Unknown": f"scope unknown: {_UNLOGGED if named.victim.logged else 'oompolicy did not see this OOM begin'}",
    }[named.scope]


def _priority(named: NamedVictim) -> str:
    victim, owner = named.victim, named.decided_by
    if victim.priority is None:
        return "priority unknown"
    if unused := _unused(victim):
        return f"priority {victim.priority}, {unused}"
    if victim.host_priority:
        return f"priority {victim.priority}, the default for processes of the host"
    if owner is None or owner.priority != victim.priority or not owner.reason:
        return f"priority {victim.priority}"
    return f"priority {victim.priority} from {clip(owner.reason, 2 * _SHORT)}"


def _unused(victim: Victim) -> str:
    """Return why the kernel did not use the priority, or did not for certain. Empty if it did."""
    if victim.flags & VictimFlag.NO_SCOPE:
        return "but it is unknown if the kernel used it"
    if victim.mode is Mode.OFF:
        return "which the kernel did not use, because the mode of the node is Off"
    return "" if victim.mode else "but the kernel did not use priorities in this OOM"


def _source(named: NamedVictim, *, disclose: bool) -> list[str]:
    """Return the words about the trigger, and about the kernel's log if the victim is from there."""
    trigger = named.victim.trigger
    found = [_trigger(named, trigger, disclose=disclose)] if trigger else []
    return [*found, "source: the kernel's log"] if named.victim.logged else found


def _trigger(named: NamedVictim, trigger: Process, *, disclose: bool) -> str:
    if trigger.tgid == named.victim.tgid:
        return "trigger: its own allocation"
    if not disclose and _is_foreign(named.trigger_owner, named):
        return f"trigger: {FOREIGN}"
    return f"trigger: {_process(trigger, named.trigger_owner)}"


def _spared(named: NamedVictim, spared: Process, *, disclose: bool) -> str:
    victim, audit = named.victim, named.victim.mode is Mode.AUDIT
    without = f"by the kernel's own scores {_ago(named.verdict)}" if named.verdict else "without the policy"
    policy = f"{_ago(named.verdict)}, the scores" if named.verdict else "the policy"
    if not disclose and _is_foreign(named.spared_owner, named):
        if audit:
            return f"mode Audit: {policy} would have killed {FOREIGN}"
        return f"spared: {FOREIGN}, which would have been killed {without}"
    process = _process(spared, named.spared_owner)
    rank = f"priority {victim.spared_priority}"
    if not named.verdict:
        rank = f"{rank}, badness {victim.spared_badness}"
    if audit:
        return f"mode Audit: {policy} would have killed {process}, {rank}"
    return f"spared: {process}, {rank}, would have been killed {without}"


def _ago(verdict: Verdict) -> str:
    """Return the age of the adjuster's look."""
    age = verdict.age or 0.0
    return f"{age:.1f} s before" if age < _EXACT else f"{age:.0f} s before"


def _scored(named: NamedVictim, verdict: Verdict, *, disclose: bool) -> list[str]:
    """Return the words about scores that did not decide, or that are not known to have decided."""
    if verdict.mode is Mode.ENFORCE and verdict.age is None:
        return ["it is unknown if scores had the order, because the adjuster did not report a look before it"]
    if not verdict.missed:
        return []
    first, more = verdict.missed[0], len(verdict.missed) - 1
    lived = f"{subject(first)}, priority {first.priority}," if disclose or not _is_foreign(first, named) else FOREIGN
    others = f" and {more} more" if more else ""
    return [f"missed: {lived}{others} should have died before it, but scores did not have the order"]


def _audited(victim: Victim) -> str:
    """Return the words for a victim in the mode Audit without another process that the policy would have killed."""
    if victim.comparison is Comparison.UNKNOWN:
        return "mode Audit: it is unknown which process the policy would have killed"
    return "mode Audit: the policy would have killed it too"


def _is_foreign(owner: Owner | None, named: NamedVictim) -> bool:
    """Return True if the process may run in a pod of another namespace than the victim's."""
    if owner is None or (owner.kind != "host" and not owner.pod):
        return True
    return owner.kind != "host" and owner.namespace != named.owner.namespace


def _process(process: Process, owner: Owner | None) -> str:
    return f"{process.comm or 'a process'} (pid {process.tgid}){_place_of(owner)}"


def regarding_of(owner: Owner, node: str) -> dict[str, Any]:
    """Return the reference to the pod and container of the owner, or else to the node."""
    if not owner.pod:
        # The kubelet uses the node's name as its uid too (pkg/kubelet/kubelet.go, nodeRef), and kubectl looks for that.
        return {"apiVersion": "v1", "kind": "Node", "name": node, "uid": node}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "namespace": owner.namespace,
        "name": owner.pod,
        "uid": owner.pod_uid,
    }
    field = f"spec.{_FIELDS.get(owner.container_kind, 'containers')}{{{owner.container}}}"
    return pod | ({"fieldPath": field} if owner.container else {})


def _related(named: NamedVictim) -> dict[str, Any] | None:
    owner = named.decided_by
    if owner is None or not owner.policy or not named.victim.flags & VictimFlag.SELECTED:
        return None
    policy = {"apiVersion": API_VERSION, "kind": "OOMPolicy", "name": owner.policy}
    return policy | ({"uid": owner.policy_uid} if owner.policy_uid else {})

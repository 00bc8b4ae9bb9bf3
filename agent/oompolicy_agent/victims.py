# SPDX-License-Identifier: Apache-2.0
"""Names a victim: from a ring-buffer record to pod and container, scope, trigger and who was spared. Pure."""

from __future__ import annotations

import ctypes
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from oompolicy.model import QOSClass
from oompolicy_agent.cgroups import parse_outside, parse_path
from oompolicy_agent.claims import by_cgroup
from oompolicy_agent.index import Owner, container_owner, pod_owner
from oompolicy_agent.layout import LEVELS, NO_LEVEL, VictimFlag, VictimRecord
from oompolicy_agent.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from oompolicy.model import Pod
    from oompolicy_agent.index import Index

Scope = Literal["Node", "Kubepods", "Pod", "Container", "Other"]

SANDBOX_SCORE_ADJ: Final = -998
"""kubelet's oom_score_adj for sandboxes (pkg/kubelet/qos/policy.go): nobody's container."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process that is not the victim; `cgroup_id` is its own, not its container's."""

    comm: str
    tgid: int
    cgroup_id: int


@dataclass(frozen=True, slots=True)
class Victim:
    """A record with its C types gone. `cgroup_ids` and `names` run from the root down, as far as recorded."""

    boot_id: str
    boottime_ns: int
    start_boottime_ns: int
    comm: str
    tgid: int
    uid: int
    oom_score_adj: int
    priority: int
    priority_cgroup_id: int | None
    badness: int
    anon_pages: int
    file_pages: int
    shmem_pages: int
    swap_pages: int
    candidates: int
    flags: VictimFlag
    scope_cgroup_id: int
    cgroup_ids: tuple[int, ...]
    names: tuple[str, ...]
    trigger: Process
    spared: Process | None
    spared_priority: int
    spared_badness: int

    @property
    def path(self) -> str:
        """Of its cgroup, from the root of the tree."""
        return "/".join(self.names) or "/"


@dataclass(frozen=True, slots=True)
class NamedVictim:
    """A victim and what is known of those involved; an owner of None is a process of the host.

    `decided_by` is whose entry gave the victim its priority; None for host priority.
    """

    victim: Victim
    owner: Owner | None
    decided_by: Owner | None
    scope: Scope
    scope_path: str
    trigger_owner: Owner | None
    spared_owner: Owner | None

    @property
    def complete(self) -> bool:
        """False while a pod object that comes later could still say more."""
        owner = self.owner
        if owner is None or (owner.pod and (owner.container or owner.kind == "pod")):
            return True
        return bool(owner.pod) and self.victim.oom_score_adj <= SANDBOX_SCORE_ADJ


def identity(boot_id: str, tgid: int, start_boottime_ns: int) -> str:
    """16 hex digits: the same for every record of the same process, whoever delivers it."""
    return hashlib.sha256(f"{boot_id}:{tgid}:{start_boottime_ns}".encode()).hexdigest()[:16]


def record_of(raw: bytes) -> VictimRecord:
    """The record. ValueError if it has another size than the layout's."""
    # The kernel rounds a record up to 8 bytes; its size is a multiple of 8 already.
    if len(raw) != ctypes.sizeof(VictimRecord):
        raise ValueError(f"a victim's record has {len(raw)} bytes, expected {ctypes.sizeof(VictimRecord)}")
    return VictimRecord.from_buffer_copy(raw)


def says_more(one: VictimRecord, other: VictimRecord) -> bool:
    """Whether `one` is the better of two records of the same victim: its program had more part in the choice.

    Of two attached versions of the program the kernel asks the newer one first, and the older one only about tasks on
    which the newer one has no opinion (kernel/bpf/trampoline.c). Their records come in the opposite order.
    """
    return _part(one) > _part(other)


def _part(record: VictimRecord) -> tuple[bool, int]:
    return bool(record.flags & VictimFlag.SELECTED), record.candidates


def parse_victim(raw: bytes, boot_id: str) -> Victim:
    """The victim. ValueError if the record has another size than the layout's."""
    record = record_of(raw)
    levels = min(record.level + 1, LEVELS)
    flags = VictimFlag(record.flags & sum(VictimFlag))
    spared = Process(printable(record.spared_comm), record.spared_tgid, record.spared_cgroup_id)
    above = record.priority_level
    return Victim(
        boot_id=boot_id,
        boottime_ns=record.boottime_ns,
        start_boottime_ns=record.start_boottime_ns,
        comm=printable(record.victim_comm),
        tgid=record.victim_tgid,
        uid=record.victim_uid,
        oom_score_adj=record.oom_score_adj,
        priority=record.priority,
        priority_cgroup_id=record.cgroup_ids[above] if above != NO_LEVEL and above < LEVELS else None,
        badness=record.badness,
        anon_pages=record.anon_pages,
        file_pages=record.file_pages,
        shmem_pages=record.shmem_pages,
        swap_pages=record.swap_pages,
        candidates=record.candidates,
        flags=flags,
        scope_cgroup_id=record.scope_cgroup_id,
        cgroup_ids=tuple(record.cgroup_ids[:levels]),
        names=tuple(printable(name.value) for name in record.cgroup_names[:levels]),
        trigger=Process(printable(record.trigger_comm), record.trigger_tgid, record.trigger_cgroup_id),
        spared=spared if flags & VictimFlag.CHANGED else None,
        spared_priority=record.spared_priority,
        spared_badness=record.spared_badness,
    )


def qos_class(victim: Victim) -> QOSClass | None:
    """That of the victim's pod, as the place of its cgroup tells; None for a process of the host."""
    for name in filter(None, parse_path(victim.names)):
        if name.kind == "qos":
            return QOSClass(name.value)
        if name.kind == "pod":
            return QOSClass.GUARANTEED
    return None


def name_victim(victim: Victim, index: Index, pods: Iterable[Pod]) -> NamedVictim:
    """By the nearest ancestor the index knows, else by the names the kernel gave."""
    known = by_cgroup(pods)
    return NamedVictim(
        victim=victim,
        owner=_completed(_owner(victim, index), known) or _outside(victim, index, known),
        decided_by=index.get(victim.priority_cgroup_id) if victim.priority_cgroup_id else None,
        scope=_scope(victim, index),
        scope_path=_scope_path(victim),
        trigger_owner=_completed(index.get(victim.trigger.cgroup_id), known),
        spared_owner=_completed(index.get(victim.spared.cgroup_id), known) if victim.spared else None,
    )


def _owner(victim: Victim, index: Index) -> Owner | None:
    by_id = next(filter(None, map(index.get, reversed(victim.cgroup_ids))), None)
    # A user of the host may give cgroups any name. Those in the tree of the pods are kubelet's.
    trusted = by_id or (index.blank and "user.slice" not in victim.names)
    by_name = owner_by_names(victim.names) if trusted else None
    # A container made and killed between two scans: the index knows the pod only.
    if by_id and by_name and by_id.kind == "pod" and by_name.container_id and by_id.cgroup_uid == by_name.cgroup_uid:
        return Owner("container", victim.path, by_id.cgroup_uid, by_name.container_id, by_id.namespace, by_id.pod,
                     by_id.pod_uid)  # fmt: skip
    return by_id if by_id and by_id.cgroup_uid else by_name


def owner_by_names(names: Sequence[str]) -> Owner | None:
    """Pod and container by the names of the cgroups alone; what lies below a container is that container's."""
    values = {name.kind: name.value for name in parse_path(names) if name}
    if "pod" not in values:
        return None
    kind: Literal["container", "pod"] = "container" if "container" in values else "pod"
    return Owner(kind, "/".join(names), values["pod"], values.get("container", ""))


def _outside(victim: Victim, index: Index, pods: Mapping[str, Pod]) -> Owner | None:
    """The container of a node whose kubelet and runtime use different cgroup drivers, by the ids in the names.

    A user of the host may copy the names of a container. So a name counts only if the kubelet reports the id for this
    pod, and no container with it is in the cgroup of the pod.
    """
    uid, first = parse_outside(victim.names) or ("", "")
    if not (pod := pods.get(uid)):
        return None
    ids = [each for container in pod.containers for each in container.container_ids if each.startswith(first)]
    if not ids or index.has_container(ids[0]):
        return None
    return container_owner(pod_owner(Owner("container", victim.path, uid, ids[0]), pod), pod)


def _completed(owner: Owner | None, pods: dict[str, Pod]) -> Owner | None:
    """With the names from a pod object that was not there yet when the index was made."""
    pod = pods.get(owner.cgroup_uid) if owner else None
    if owner is None or pod is None:
        return owner
    owner = owner if owner.pod else pod_owner(owner, pod)
    return owner if owner.container or not owner.container_id else container_owner(owner, pod)


def _scope(victim: Victim, index: Index) -> Scope:
    if victim.scope_cgroup_id == 0:
        return "Node"
    owner = index.get(victim.scope_cgroup_id)
    kind = owner.kind if owner else _kind_by_name(victim)
    scopes: dict[str, Scope] = {"container": "Container", "pod": "Pod", "qos": "Kubepods", "kubepods": "Kubepods"}
    return scopes.get(kind, "Other")


def _kind_by_name(victim: Victim) -> str:
    """A container, or what looks like a slice of ours, only counts in its place."""
    if victim.scope_cgroup_id not in victim.cgroup_ids:
        return ""
    level = victim.cgroup_ids.index(victim.scope_cgroup_id)
    name = parse_path(victim.names[: level + 1])[-1]
    return name.kind if name else ""


def _scope_path(victim: Victim) -> str:
    if victim.scope_cgroup_id not in victim.cgroup_ids:
        return ""
    return "/".join(victim.names[: victim.cgroup_ids.index(victim.scope_cgroup_id) + 1]) or "/"

# SPDX-License-Identifier: Apache-2.0
"""Parse a record of the ring buffer, including records of the previous version. Pure."""

from __future__ import annotations

import ctypes
import hashlib
from dataclasses import dataclass

from oompolicy.oomsettings import Mode
from oompolicy_agent.kernel.layout import LEVELS, NO_LEVEL, OldVictimRecord, VictimFlag, VictimRecord
from oompolicy_agent.plumbing.text import printable
from oompolicy_agent.status.reasons import Comparison


@dataclass(frozen=True, slots=True)
class Process:
    """A process that is not the victim. `cgroup_id` is the id of its own cgroup, not of its container.

    `cgroup_ids` run from the root down, as far as recorded. They are empty if the program did not record them.
    """

    comm: str
    tgid: int
    cgroup_id: int
    cgroup_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Logged:
    """The facts of a victim that come from the kernel's log.

    `time_us` is the log's own clock. `path`, `scope` and `group` are those of `kills.Kill`. `cgroup` is the id of the
    victim's cgroup at the last look of the adjuster, or 0 if the look had no such process.
    """

    time_us: int
    path: str | None
    cgroup: int
    scope: str | None
    group: str | None


@dataclass(frozen=True, slots=True)
class Victim:
    """A record in Python types. `cgroup_ids` and `names` run from the root down, as far as recorded.

    `logged` is None for a record of the BPF program. A victim from the kernel's log has no `trigger` and no `names` if
    the log and the adjuster's last look do not have them. It has no `priority` if its cgroup is unknown.

    `spared` is the process that the other rule would have killed: the kernel's choice in the mode Enforce, and the
    policy's in Audit. It is None if both choose the victim, or if the program cannot tell.
    `host_priority` is True if no ancestor has an entry. `priority_cgroup_id` is None in that case, or if the entry is
    deeper than the record's last level.
    """

    boot_id: str
    boottime_ns: int
    start_boottime_ns: int
    comm: str
    tgid: int
    uid: int
    oom_score_adj: int
    priority: int | None
    host_priority: bool
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
    trigger: Process | None
    spared: Process | None
    spared_priority: int
    spared_badness: int
    logged: Logged | None = None

    @property
    def identity(self) -> str:
        """16 hex digits that are the same in every record of the same process, from any version of the program.

        The kernel's log has no start times, so there the time of the kill takes this place.
        """
        start = f"log:{self.logged.time_us}" if self.logged else f"{self.start_boottime_ns}"
        return hashlib.sha256(f"{self.boot_id}:{self.tgid}:{start}".encode()).hexdigest()[:16]

    @property
    def path(self) -> str:
        """The path of its cgroup, from the root of the tree."""
        return "/".join(self.names) or "/"

    @property
    def mode(self) -> Mode | None:
        """The mode of the node in this OOM. None if the program had no part in the OOM, or only observes."""
        if self.flags & VictimFlag.OFF:
            return Mode.OFF
        if not self.flags & VictimFlag.SELECTED:
            return None
        return Mode.AUDIT if self.flags & VictimFlag.AUDIT else Mode.ENFORCE

    @property
    def comparison(self) -> Comparison | None:
        """The comparison of the two choices in this OOM. None if the program computed one choice only."""
        if not self.flags & VictimFlag.SELECTED:
            return None
        if self.flags & VictimFlag.UNSURE:
            return Comparison.UNKNOWN
        return Comparison.DIFFERENT if self.flags & VictimFlag.CHANGED else Comparison.SAME


def record_of(raw: bytes) -> VictimRecord:
    """Return the record of `raw`, which may have the older layout. ValueError if it has the size of neither."""
    # The kernel rounds a record up to 8 bytes. Both sizes are multiples of 8 already.
    size, old_size = ctypes.sizeof(VictimRecord), ctypes.sizeof(OldVictimRecord)
    if len(raw) == old_size:
        return _from_old(OldVictimRecord.from_buffer_copy(raw))
    if len(raw) != size:
        raise ValueError(f"a victim's record has {len(raw)} bytes, expected {size}, or {old_size} from before")
    return VictimRecord.from_buffer_copy(raw)


def _from_old(old: OldVictimRecord) -> VictimRecord:
    record = VictimRecord(trigger_level=NO_LEVEL, spared_level=NO_LEVEL)
    for field in OldVictimRecord._fields_:
        setattr(record, field[0], getattr(old, field[0]))
    return record


def is_better(one: VictimRecord, other: VictimRecord) -> bool:
    """Return True if `one` is the better record of the same victim: its program had more influence on the choice.

    If two versions of the program are attached, the kernel calls the newer one first, and the older one only for tasks
    on which the newer one has no opinion (kernel/bpf/trampoline.c). Their records come in the opposite order.
    """
    return _part(one) > _part(other)


def _part(record: VictimRecord) -> tuple[bool, int, bool]:
    return bool(record.flags & VictimFlag.SELECTED), record.candidates, record.trigger_level != NO_LEVEL


def parse_victim(raw: bytes, boot_id: str) -> Victim:
    """Return the victim. ValueError as from `record_of`."""
    record = record_of(raw)
    levels = min(record.level + 1, LEVELS)
    flags = VictimFlag(record.flags & sum(VictimFlag))
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
        host_priority=above == NO_LEVEL,
        priority_cgroup_id=record.cgroup_ids[above] if above < LEVELS else None,
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
        trigger=_trigger(record),
        spared=_spared(record) if flags & VictimFlag.CHANGED else None,
        spared_priority=record.spared_priority,
        spared_badness=record.spared_badness,
    )


def _trigger(record: VictimRecord) -> Process:
    ids = _recorded(record.trigger_cgroup_ids, record.trigger_level)
    return Process(printable(record.trigger_comm), record.trigger_tgid, record.trigger_cgroup_id, ids)


def _spared(record: VictimRecord) -> Process | None:
    # memory.oom.group killed the task after all: this is its own record.
    if record.spared_tgid == record.victim_tgid:
        return None
    ids = _recorded(record.spared_cgroup_ids, record.spared_level)
    return Process(printable(record.spared_comm), record.spared_tgid, record.spared_cgroup_id, ids)


def _recorded(ids: ctypes.Array[ctypes.c_uint64], level: int) -> tuple[int, ...]:
    """Return the ids from the root down, or none, because ids with a gap do not show the ancestors."""
    found = () if level == NO_LEVEL else tuple(ids[: level + 1])
    return () if 0 in found else found

# SPDX-License-Identifier: Apache-2.0
"""The structs of bpf/oompolicy.h in ctypes: the only Python view of map values and ring-buffer records.

A unit test, the loader and the agent use `describe` and `check_against_btf` to prove that this view and the compiled
object agree.
"""

from __future__ import annotations

import ctypes
from enum import IntEnum, IntFlag
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_ENTRIES: Final = 65_536
EVENTS_BYTES: Final = 2 * 1024 * 1024
CGROUPS_BYTES: Final = 256 * 1024
PRIORITY_MAX: Final = 1000
HOST_PRIORITY: Final = 1000
LEVELS: Final = 12
NAME: Final = 96
COMM: Final = 16
NO_LEVEL: Final = 0xFFFF_FFFF

KEY_SIZE: Final = 8
"""The size in bytes of a key of `cgroup_priority`: one u64 cgroup id."""


class Stat(IntEnum):
    """The indexes of `stats`, enum oompolicy_stat."""

    SELECTIONS = 0
    EVALUATIONS = 1
    SELECT = 2
    NEXT = 3
    NO_POLICY = 4
    VICTIMS = 5
    VICTIMS_DROPPED = 6
    CGROUPS_DROPPED = 7
    ENTRIES_DELETED = 8
    BYPASSED = 9
    NOBODY = 10
    DYING = 11
    WAITS = 12


class VictimFlag(IntFlag):
    """The flags of a victim, enum oompolicy_victim_flag."""

    SELECTED = 1 << 0
    CHANGED = 1 << 1
    GROUP = 1 << 2
    SPARED_ENTRY = 1 << 3
    CONSTRAINED = 1 << 4
    NO_SCOPE = 1 << 5
    AUDIT = 1 << 6
    OFF = 1 << 7
    UNSURE = 1 << 8


class EntryFlag(IntFlag):
    """The flags of an entry, enum oompolicy_entry_flag."""

    PROOF = 1 << 0


class KernelMode(IntEnum):
    """The mode in the settings of the program, enum oompolicy_mode."""

    OFF = 0
    AUDIT = 1
    ENFORCE = 2


class CgroupChange(IntEnum):
    """The change of a cgroup, enum oompolicy_cgroup_change."""

    MKDIR = 1
    RMDIR = 2


class KernelTieBreak(IntEnum):
    """The order of tasks with the same priority, enum oompolicy_tie_break."""

    LARGEST_MEMORY = 0
    MOST_OVER_REQUEST = 1


class Entry(ctypes.Structure):
    """A value of `cgroup_priority`, struct oompolicy_entry."""

    memory_request: int
    priority: int
    flags: int

    _fields_ = (
        ("memory_request", ctypes.c_uint64),
        ("priority", ctypes.c_int32),
        ("flags", ctypes.c_uint32),
    )


class Settings(ctypes.Structure):
    """The value of `settings`, struct oompolicy_settings."""

    minimum_victim_memory: int
    host_priority: int
    page_shift: int
    mode: int
    tie_break: int

    _fields_ = (
        ("minimum_victim_memory", ctypes.c_uint64),
        ("host_priority", ctypes.c_int32),
        ("page_shift", ctypes.c_uint32),
        ("mode", ctypes.c_uint32),
        ("tie_break", ctypes.c_uint32),
    )


class VictimRecord(ctypes.Structure):
    """A record of `events`, struct oompolicy_victim."""

    boottime_ns: int
    start_boottime_ns: int
    victim_cgroup_id: int
    scope_cgroup_id: int
    trigger_cgroup_id: int
    spared_cgroup_id: int
    anon_pages: int
    file_pages: int
    shmem_pages: int
    swap_pages: int
    pgtables_bytes: int
    total_pages: int
    cgroup_ids: ctypes.Array[ctypes.c_uint64]
    trigger_cgroup_ids: ctypes.Array[ctypes.c_uint64]
    spared_cgroup_ids: ctypes.Array[ctypes.c_uint64]
    badness: int
    spared_badness: int
    victim_tgid: int
    victim_pid: int
    victim_uid: int
    trigger_tgid: int
    spared_tgid: int
    priority: int
    spared_priority: int
    oom_score_adj: int
    flags: int
    level: int
    priority_level: int
    candidates: int
    trigger_level: int
    spared_level: int
    victim_comm: bytes
    trigger_comm: bytes
    spared_comm: bytes
    cgroup_names: ctypes.Array[ctypes.Array[ctypes.c_char]]

    _fields_ = (
        ("boottime_ns", ctypes.c_uint64),
        ("start_boottime_ns", ctypes.c_uint64),
        ("victim_cgroup_id", ctypes.c_uint64),
        ("scope_cgroup_id", ctypes.c_uint64),
        ("trigger_cgroup_id", ctypes.c_uint64),
        ("spared_cgroup_id", ctypes.c_uint64),
        ("anon_pages", ctypes.c_uint64),
        ("file_pages", ctypes.c_uint64),
        ("shmem_pages", ctypes.c_uint64),
        ("swap_pages", ctypes.c_uint64),
        ("pgtables_bytes", ctypes.c_uint64),
        ("total_pages", ctypes.c_uint64),
        ("cgroup_ids", ctypes.c_uint64 * LEVELS),
        ("trigger_cgroup_ids", ctypes.c_uint64 * LEVELS),
        ("spared_cgroup_ids", ctypes.c_uint64 * LEVELS),
        ("badness", ctypes.c_int64),
        ("spared_badness", ctypes.c_int64),
        ("victim_tgid", ctypes.c_uint32),
        ("victim_pid", ctypes.c_uint32),
        ("victim_uid", ctypes.c_uint32),
        ("trigger_tgid", ctypes.c_uint32),
        ("spared_tgid", ctypes.c_uint32),
        ("priority", ctypes.c_int32),
        ("spared_priority", ctypes.c_int32),
        ("oom_score_adj", ctypes.c_int32),
        ("flags", ctypes.c_uint32),
        ("level", ctypes.c_uint32),
        ("priority_level", ctypes.c_uint32),
        ("candidates", ctypes.c_uint32),
        ("trigger_level", ctypes.c_uint32),
        ("spared_level", ctypes.c_uint32),
        ("victim_comm", ctypes.c_char * COMM),
        ("trigger_comm", ctypes.c_char * COMM),
        ("spared_comm", ctypes.c_char * COMM),
        ("cgroup_names", (ctypes.c_char * NAME) * LEVELS),
    )


_NEW_IN_VICTIM: Final = {"trigger_cgroup_ids", "spared_cgroup_ids", "trigger_level", "spared_level"}


class OldVictimRecord(ctypes.Structure):
    """A record of the previous version, struct oompolicy_victim of that version.

    After an upgrade, a node's ring buffer and spool can still hold such records.
    """

    _fields_ = tuple(field for field in VictimRecord._fields_ if field[0] not in _NEW_IN_VICTIM)


class CgroupRecord(ctypes.Structure):
    """A record of `cgroups`, struct oompolicy_cgroup."""

    cgroup_id: int
    parent_id: int
    change: int
    level: int

    _fields_ = (
        ("cgroup_id", ctypes.c_uint64),
        ("parent_id", ctypes.c_uint64),
        ("change", ctypes.c_uint32),
        ("level", ctypes.c_uint32),
    )


class StructLayout(NamedTuple):
    """The size of a struct, and (offset, size) of each field, all in bytes."""

    size: int
    fields: Mapping[str, tuple[int, int]]


STRUCTS: Final[Mapping[str, type[ctypes.Structure]]] = {
    "oompolicy_entry": Entry,
    "oompolicy_settings": Settings,
    "oompolicy_victim": VictimRecord,
    "oompolicy_cgroup": CgroupRecord,
}


def describe() -> dict[str, StructLayout]:
    """Return each struct of the header as this module sees it, by its C name."""
    return {name: _describe(struct) for name, struct in STRUCTS.items()}


def check_against_btf(found: Mapping[str, StructLayout]) -> str | None:
    """Return None if `found` (see `btf.structs`) agrees with this module, else a sentence with the difference."""
    for name, ours in describe().items():
        theirs = found.get(name)
        if theirs is None:
            return f"the BPF object's BTF has no struct {name}"
        if theirs.size != ours.size:
            return f"struct {name} is {theirs.size} bytes in the BPF object and {ours.size} in Python"
        for field in {**ours.fields, **theirs.fields}:
            if theirs.fields.get(field) != ours.fields.get(field):
                return (
                    f"struct {name}, field {field}: {_place(theirs.fields.get(field))} in the BPF object, "
                    f"{_place(ours.fields.get(field))} in Python"
                )
    return None


def _describe(struct: type[ctypes.Structure]) -> StructLayout:
    fields = {field[0]: getattr(struct, field[0]) for field in struct._fields_}
    return StructLayout(ctypes.sizeof(struct), {name: (field.offset, field.size) for name, field in fields.items()})


def _place(place: tuple[int, int] | None) -> str:
    return f"{place[1]} bytes at offset {place[0]}" if place else "absent"

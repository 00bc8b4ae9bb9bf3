# SPDX-License-Identifier: Apache-2.0
"""The records of program.c, as Python values. Pure."""

from __future__ import annotations

import dataclasses
import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Final


class Kind(IntEnum):
    """The action of the kernel, as `enum kind` in program.c."""

    BEGAN = 0
    LOOKED_AT = 1
    CHOSEN = 2
    SIGNALLED = 3
    MARKED = 4
    ENDED = 5


class Flag(IntFlag):
    """The parts that a record has, as `enum flag` in program.c."""

    HAS_BADNESS = 1 << 0
    HAS_ANSWER = 1 << 1
    HAS_PAGES = 1 << 2
    HAS_PRIORITY = 1 << 3
    IS_CHOSEN = 1 << 4
    HAS_TASK = 1 << 5
    INLINED = 1 << 6
    TOO_DEEP = 1 << 7


class Answer(IntEnum):
    """An answer of a BPF program to the hook, as `enum bpf_oom_verdict` of the kernel."""

    NO_BPF_POLICY = 0
    ABORT = 1
    NEXT = 2
    SELECT = 3


LAYOUT: Final = struct.Struct("<4Q3q6i4Ii4x16s48s")
"""The layout of `struct record`."""


@dataclass(frozen=True)
class Record:
    """One record, with the names of `struct record`."""

    time_ns: int
    oom: int
    cgroup_id: int
    priority_cgroup_id: int
    badness: int
    pages: int
    points: int
    priority: int
    pid: int
    tgid: int
    adj: int
    returned: int
    answer: int
    kind: Kind
    flags: Flag
    constraint: int
    kthreads: int
    order: int
    comm: str
    message: str


def decode(raw: bytes) -> Record:
    """Read the bytes of one record."""
    *numbers, comm, message = LAYOUT.unpack_from(raw)
    fields = dict(zip((field.name for field in dataclasses.fields(Record)), numbers, strict=False))
    kind, flags = Kind(fields.pop("kind")), Flag(fields.pop("flags"))
    return Record(**fields, kind=kind, flags=flags, comm=text(comm), message=text(message))


def text(raw: bytes) -> str:
    """Return the characters before the NUL. A task gives itself its name, so control characters are replaced."""
    return "".join(each if each.isprintable() else "?" for each in raw.partition(b"\0")[0].decode(errors="replace"))

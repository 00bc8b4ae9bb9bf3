# SPDX-License-Identifier: Apache-2.0
"""The story of one OOM, joined from its records. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from oompolicy_trace.records import Flag, Kind

if TYPE_CHECKING:
    from oompolicy_trace.records import Record


@dataclass
class Oom:
    """One call of out_of_memory(). A part that no probe saw is empty."""

    number: int
    began: Record | None = None
    looked_at: list[Record] = field(default_factory=list)
    chosen: Record | None = None
    signalled: list[Record] = field(default_factory=list)
    marked: list[Record] = field(default_factory=list)
    ended: Record | None = None

    @property
    def victims(self) -> list[Record]:
        """The processes that got SIGKILL in this OOM, each once, in the kernel's order."""
        first: dict[int, Record] = {}
        for record in self.signalled:
            first.setdefault(record.tgid, record)
        return list(first.values())

    @property
    def dying(self) -> list[Record]:
        """The tasks that were dying already: the kernel marked them, and did not kill them."""
        killed = {record.pid for record in self.signalled} | {record.tgid for record in self.signalled}
        return [record for record in self.marked if record.pid not in killed and record.tgid not in killed]

    @property
    def badness_visible(self) -> bool:
        """True if the probe of oom_badness() saw a call. On some kernels the compiler split or inlined the function."""
        return any(Flag.HAS_BADNESS in record.flags for record in self.looked_at)

    @property
    def duration_ns(self) -> int | None:
        """The time from the begin of out_of_memory() to its end."""
        return self.ended.time_ns - self.began.time_ns if self.began and self.ended else None

    def reason(self, victim: Record) -> str:
        """Say why a process got SIGKILL."""
        if self.chosen and victim.tgid == self.chosen.tgid:
            return "chosen"
        if any(record.pid == victim.pid for record in self.marked):
            return "killed with its group (memory.oom.group)"
        return "shares the memory of another victim"


class Reader:
    """Joins records. They come in the order in which the kernel wrote them, those of several OOMs mixed."""

    def __init__(self) -> None:
        self._open: dict[int, Oom] = {}

    def read(self, record: Record) -> Oom | None:
        """Add a record. Return the OOM that it ends."""
        oom = self._open.setdefault(record.oom, Oom(record.oom))
        match record.kind:
            case Kind.BEGAN:
                oom.began = record
            case Kind.LOOKED_AT:
                oom.looked_at.append(record)
            case Kind.CHOSEN:
                oom.chosen = record
            case Kind.SIGNALLED:
                oom.signalled.append(record)
            case Kind.MARKED:
                oom.marked.append(record)
            case Kind.ENDED:
                oom.ended = record
                return self._open.pop(record.oom)
        return None

# SPDX-License-Identifier: Apache-2.0
"""The JSON of the tool: one object for the start, and one for each OOM. Pure."""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from oompolicy_trace.records import Answer, Flag
from oompolicy_trace.verdicts import Verdict, computed_badness, judge

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from oompolicy_trace.probes import Source
    from oompolicy_trace.records import Record
    from oompolicy_trace.story import Oom

Document = dict[str, Any]

NUMA: Final = (1, 2)
"""CONSTRAINT_CPUSET and CONSTRAINT_MEMORY_POLICY of the kernel."""


@dataclass(frozen=True)
class Facts:
    """The facts that the records do not have. `mode` and `host_priority` are None without oompolicy's maps."""

    page_size: int
    boot_offset_ns: int
    mode: str | None
    host_priority: int | None
    path: Callable[[int], str]
    lost: int = 0
    maps_replaced: bool = False


def started(release: str, sources: Iterable[Source], priorities: str, warnings: list[str]) -> Document:
    """Describe what this run can show, and where each part comes from."""
    return {
        "event": "Started",
        "kernel": release,
        "sources": [
            {
                "from": f"{each.probe.kind} {each.probe.name}",
                "shows": each.probe.shows,
                "attached": not each.problem,
                "problem": each.problem or each.doubt,
                "consequence": each.probe.without if each.problem or each.doubt else "",
            }
            for each in sources
        ],
        "priorities": priorities,
        "warnings": warnings,
    }


def describe(oom: Oom, facts: Facts) -> Document:
    """Describe one OOM."""
    total = oom.ended.points if oom.ended else 0
    return {
        "event": "OOM",
        "number": oom.number,
        "time": wall_clock(oom, facts),
        "durationMicroseconds": oom.duration_ns // 1000 if oom.duration_ns is not None else None,
        "scope": scope(oom, facts),
        "totalBytes": total * facts.page_size,
        "trigger": {"pid": oom.began.tgid, "thread": oom.began.pid, "comm": oom.began.comm} if oom.began else None,
        "mode": facts.mode,
        "tasks": [task(record, total, facts, visible=oom.badness_visible) for record in oom.looked_at],
        "kernelThreads": oom.ended.kthreads if oom.ended else 0,
        "chosen": chosen(oom, facts),
        "message": oom.chosen.message if oom.chosen else "",
        "killed": [process(record, facts) | {"reason": oom.reason(record)} for record in oom.victims],
        "alreadyDying": [process(record, facts) for record in oom.dying],
        "lostRecords": facts.lost,
        "mapsReplaced": facts.maps_replaced,
    }


def wall_clock(oom: Oom, facts: Facts) -> str | None:
    """Return the time of day at which the OOM began."""
    if oom.began is None:
        return None
    seconds = (oom.began.time_ns + facts.boot_offset_ns) / 1e9
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="milliseconds")


def scope(oom: Oom, facts: Facts) -> Document:
    """Return the part of the node that ran out of memory."""
    if oom.began and oom.began.cgroup_id:
        return {"type": "Cgroup", "cgroupId": oom.began.cgroup_id, "cgroup": facts.path(oom.began.cgroup_id)}
    confined = oom.ended is not None and oom.ended.constraint in NUMA
    return {"type": "NumaNodes" if confined else "Node"}


def process(record: Record, facts: Facts) -> Document:
    """Return what identifies a process, and what decides about it."""
    known = Flag.HAS_PRIORITY in record.flags
    priority = record.priority if known else None if Flag.TOO_DEEP in record.flags else facts.host_priority
    return {
        "pid": record.tgid or record.pid,
        "thread": record.pid,
        "comm": record.comm,
        "cgroup": facts.path(record.cgroup_id),
        "cgroupId": record.cgroup_id,
        "priority": priority,
        "prioritySource": source(record, priority),
        "oomScoreAdj": record.adj,
        "memoryBytes": record.pages * facts.page_size if Flag.HAS_PAGES in record.flags else None,
    }


def source(record: Record, priority: int | None) -> str:
    """Name the origin of a priority."""
    if Flag.HAS_PRIORITY in record.flags:
        return "Entry"
    return "Unknown" if priority is None else "HostPriority"


def task(record: Record, total_pages: int, facts: Facts, *, visible: bool) -> Document:
    """Return one task that the kernel looked at, with the verdict."""
    judged = judge(record, visible=visible)
    measured = Flag.HAS_BADNESS in record.flags
    badness = record.badness if measured else computed_badness(record, total_pages)
    killable = judged.verdict is not Verdict.NOT_KILLABLE
    return process(record, facts) | {
        "badness": badness if killable else None,
        "badnessSource": None if badness is None or not killable else "Kernel" if measured else "Computed",
        "answer": answer(record),
        "verdict": judged.verdict.value,
        "reason": judged.reason,
    }


def answer(record: Record) -> str | None:
    """Return the policy's answer by its name in the kernel, or None if the kernel did not ask."""
    if Flag.HAS_ANSWER not in record.flags:
        return None
    return Answer(record.answer).name if record.answer in list(Answer) else str(record.answer)


def chosen(oom: Oom, facts: Facts) -> Document | None:
    """Return the task that the kernel chose. Without the probe it is the last best one of the scan."""
    if oom.chosen:
        return process(oom.chosen, facts)
    best = [
        record for record in oom.looked_at if judge(record, visible=oom.badness_visible).verdict is Verdict.BEST_SO_FAR
    ]
    return process(best[-1], facts) if best and oom.victims else None

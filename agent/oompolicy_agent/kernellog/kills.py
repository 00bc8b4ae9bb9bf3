# SPDX-License-Identifier: Apache-2.0
"""Find the kills of the OOM killer in the records of the kernel's log. Pure.

The kernel logs one line for each kill. The lines in front of it, with the scope, the cgroup and the trigger, are logged
for at most 10 OOMs in 5 seconds (oom_kill_process() in mm/oom_kill.c). All lines of an OOM are next to each other,
because the kernel handles one OOM at a time. The wording was compared on Linux 5.10, 6.1, 6.12 and 7.3.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from oompolicy_agent.kernellog.records import COMM, KERNEL

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from oompolicy_agent.kernellog.records import Record

_KILLED: Final = re.compile(
    rb"(?P<what>[^\n:]*)[Oo]ut of memory[^\n:]*: Killed process (?P<pid>\d+) \((?P<comm>" + COMM + rb")\) "
    rb"total-vm:\d+kB, anon-rss:(?P<anon>\d+)kB, file-rss:(?P<file>\d+)kB, shmem-rss:(?P<shmem>\d+)kB, "
    rb"UID:(?P<uid>\d+) pgtables:(?P<pgtables>\d+)kB oom_score_adj:(?P<score>-?\d+)\b[^\n]*"
)
_SUMMARY: Final = re.compile(
    rb"oom-kill:constraint=(?P<constraint>\w+),[^\n]*?"
    rb"(?:,oom_memcg=(?P<scope>/[^\n]*?)|,global_oom),task_memcg=(?P<path>/[^\n]*)"
)
_GROUP: Final = re.compile(rb"Tasks in (?P<path>/[^\n]*) are going to be killed due to memory\.oom\.group set")
_INVOKED: Final = re.compile(rb"(?P<comm>" + COMM + rb") invoked oom-killer: [^\n]*")
_TASK: Final = re.compile(rb"CPU: \d+ (?:UID: \d+ )?PID: (?P<pid>\d+) Comm: [^\n]*")

_BOUND: Final = frozenset({b"CONSTRAINT_CPUSET", b"CONSTRAINT_MEMORY_POLICY"})
"""The constraints of an OOM on some NUMA nodes. Only processes that may use them are candidates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """One kill. Sizes are in KiB, and `time_us` is the log's own clock in microseconds.

    `scope` is the path of the cgroup that reached its limit, empty for the node, and None if the log does not have it.
    `path` is the path of the victim's cgroup, or None. `group` is the path of the cgroup whose processes were killed
    together with the chosen one, or None for the chosen one. `bound` is True if no memory was left on some NUMA nodes.
    `trigger` is the process that asked for memory, or None. Its pid is that of the thread, and 0 if unknown.
    """

    time_us: int
    pid: int
    comm: bytes
    uid: int
    anon_kib: int
    file_kib: int
    shmem_kib: int
    pgtables_kib: int
    oom_score_adj: int
    scope: str | None = None
    path: str | None = None
    group: str | None = None
    bound: bool = False
    trigger: tuple[int, bytes] | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """The record with this index is about a kill. `kill` is None if an earlier record is about the same one."""

    index: int
    kill: Kill | None


class _Scene:
    """The lines of the present OOM so far."""

    def __init__(self) -> None:
        self.trigger: tuple[int, bytes] | None = None
        self.summary: bytes | None = None
        self.scope: str | None = None
        self.bound = False
        self.group: str | None = None
        self.what: bytes | None = None
        self.dead: set[int] = set()

    def has_ended(self, what: bytes) -> bool:
        """Return True if a kill with these first words is of another OOM. Only a group has more than one kill."""
        return bool(self.dead) and (self.group is None or what != self.what)


def find(records: Iterable[Record]) -> Iterator[Found]:
    """Yield each record about a kill, the oldest first.

    The kernel kills the process that it chose a second time with its group, and logs that. It is one kill.
    """
    scene = _Scene()
    for index, record in enumerate(records):
        if record.facility != KERNEL:
            continue
        text = record.text
        if match := _INVOKED.fullmatch(text):
            scene = _Scene()
            scene.trigger = 0, match["comm"]
        elif scene.trigger and not scene.trigger[0] and (match := _TASK.fullmatch(text)):
            scene.trigger = int(match["pid"]), scene.trigger[1]
        elif text.startswith(b"oom-kill:"):
            scene = _Scene() if scene.dead else scene
            scene.summary = text
        elif match := _GROUP.fullmatch(text):
            scene.group = _path(match["path"])
        elif match := _KILLED.fullmatch(text):
            if scene.has_ended(match["what"]):
                scene = _Scene()
            yield Found(index, _kill(record.time_us, match, scene))


def _kill(time_us: int, line: re.Match[bytes], scene: _Scene) -> Kill | None:
    pid, comm, uid = int(line["pid"]), line["comm"], int(line["uid"])
    if pid in scene.dead:
        return None
    path = None
    if not scene.dead:
        path = _read_summary(scene, b",task=%s,pid=%d,uid=%d" % (comm, pid, uid))
        if scene.scope is None and not line["what"]:
            scene.scope = ""
    scene.dead.add(pid)
    scene.what = line["what"]
    return Kill(
        time_us=time_us,
        pid=pid,
        comm=comm,
        uid=uid,
        anon_kib=int(line["anon"]),
        file_kib=int(line["file"]),
        shmem_kib=int(line["shmem"]),
        pgtables_kib=int(line["pgtables"]),
        oom_score_adj=int(line["score"]),
        scope=scene.scope,
        path=path,
        group=scene.group,
        bound=scene.bound,
        trigger=scene.trigger,
    )


def _read_summary(scene: _Scene, end: bytes) -> str | None:
    """Take over the summary if it is about the process with this end. Return the path of its cgroup."""
    summary = scene.summary
    if summary is None or not summary.endswith(end):
        return None
    match = _SUMMARY.fullmatch(summary.removesuffix(end))
    if match is None:
        return None
    scene.scope, scene.bound = _path(match["scope"] or b""), match["constraint"] in _BOUND
    return _path(match["path"])


def _path(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")

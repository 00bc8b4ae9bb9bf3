# SPDX-License-Identifier: Apache-2.0
"""The file in which the adjuster gives the kills of this boot to the agent.

docs/design has its shape. It also has the adjuster's place in the log. Both change in one write, so an adjuster that is
killed at any moment neither loses a kill nor adds one twice. The kills are in the file until newer ones take their
place, and the agent remembers the number of the last one that it took.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from oompolicy_agent.plumbing.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from oompolicy_agent.kernellog.kills import Kill

VERSION: Final = 1
KEPT: Final = 500
"""The kills in the file. The agent takes them several times a second while it runs."""
LIMIT: Final = 8 << 20
"""The largest size of a file in bytes. The path of a cgroup has at most 4 KiB, and a kill three paths."""
_READABLE: Final = 0o644
"""The mode of the file. It has no fact that status.json or /proc do not show to every user."""


@dataclass(frozen=True, slots=True)
class Place:
    """The cgroup id of a process, and its start time in ticks since the boot."""

    cgroup: int
    start_time: int


@dataclass(frozen=True, slots=True)
class Handover:
    """The content of the file.

    `cursor` is the hash of the last line about a kill that was read, or of the last line of the log when the adjuster
    began. `accounted` is the kernel's number of kills up to there, with those that are lost. `offset_ns` is the boot
    clock minus the log's clock, and `offset_at_ns` the boot clock when that was measured. `lost` counts the kills of
    which the log had no line any more. `last` is the number of the newest of the `kills`, which count up by one.
    `begin_ns` is the boot clock when the numbers began at one, or 0 in a file that an earlier release began.
    """

    boot_id: str
    cursor: str
    accounted: int
    offset_ns: int = 0
    offset_at_ns: int = 0
    lost: int = 0
    last: int = 0
    kills: tuple[Mapping[str, Any], ...] = ()
    begin_ns: int = 0

    def with_kill(self, kill: Mapping[str, Any]) -> Handover:
        """Return the content with one more kill. The oldest one leaves if there is no more room."""
        number = self.last + 1
        return replace(self, last=number, kills=(*self.kills[1 - KEPT :], {**kill, "number": number}))


def to_json(kill: Kill, boot_time_ns: int, victim: Place | None, trigger: Place | None) -> dict[str, Any]:
    """Return the kill as it is in the file. `victim` and `trigger` are their places at the last look, if known."""
    return {
        "logTimeUs": kill.time_us,
        "bootTimeNs": boot_time_ns,
        "pid": kill.pid,
        "comm": kill.comm.decode("utf-8", "backslashreplace"),
        "uid": kill.uid,
        "anonKiB": kill.anon_kib,
        "fileKiB": kill.file_kib,
        "shmemKiB": kill.shmem_kib,
        "oomScoreAdj": kill.oom_score_adj,
        "startTime": victim.start_time if victim else 0,
        "path": kill.path,
        "cgroup": victim.cgroup if victim else 0,
        "scope": kill.scope,
        "group": kill.group,
        "bound": kill.bound,
        "trigger": _trigger(kill, trigger),
    }


def _trigger(kill: Kill, place: Place | None) -> dict[str, Any] | None:
    if kill.trigger is None:
        return None
    pid, comm = kill.trigger
    return {
        "pid": pid,
        "comm": comm.decode("utf-8", "backslashreplace"),
        "cgroup": place.cgroup if place else 0,
    }


def write(path: Path, content: Handover) -> None:
    """Replace the file. It is for this boot alone, so it is not synced to the disk. OSError if that fails."""
    document = {
        "version": VERSION,
        "bootId": content.boot_id,
        "cursor": content.cursor,
        "accounted": content.accounted,
        "offsetNs": content.offset_ns,
        "offsetAtNs": content.offset_at_ns,
        "lost": content.lost,
        "last": content.last,
        "beginNs": content.begin_ns,
        "kills": content.kills,
    }
    write_atomic(path, json.dumps(document).encode() + b"\n", durable=False, mode=_READABLE)


def read(path: Path) -> Handover:
    """Return the content of the file. OSError if it cannot be read, and ValueError if it is none of this version."""
    with path.open("rb") as file:
        data = file.read(LIMIT + 1)
    if len(data) > LIMIT:
        raise ValueError(f"it has more than {LIMIT} bytes")
    return parse(data)


def parse(data: bytes) -> Handover:
    """Return the content in JSON data. ValueError with the reason if it is none of this version."""
    raw = json.loads(data)
    begin = raw.get("beginNs", 0) if isinstance(raw, dict) else 0
    match raw:
        case {
            "version": 1,
            "bootId": str(boot_id),
            "cursor": str(cursor),
            "accounted": int(accounted),
            "offsetNs": int(offset),
            "offsetAtNs": int(measured),
            "lost": int(lost),
            "last": int(last),
            "kills": list(kills),
        } if isinstance(begin, int) and all(
            isinstance(each, dict) and isinstance(each.get("number"), int) for each in kills
        ):
            return Handover(boot_id, cursor, accounted, offset, measured, lost, last, tuple(kills), begin)
    raise ValueError(f"its version is not {VERSION}: agent and adjuster must be of the same release")

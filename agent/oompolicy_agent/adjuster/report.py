# SPDX-License-Identifier: Apache-2.0
"""The report of the adjuster, which the agent reads: the state of the scores after the last look.

docs/design has the shape of the file. It has no secret, and every user may read it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, get_args

from oompolicy_agent.adjuster.wanted import Mode
from oompolicy_agent.plumbing.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

VERSION: Final = 1
LIMIT: Final = 1 << 20
"""The largest size of a file in bytes. It has about 60 bytes for each container."""
READABLE: Final = 0o644
"""The mode of the file. The other files of its folder are for root alone."""

_NUMBERS: Final = ("cgroup", "pid", "startTime", "bytes", "priority")


@dataclass(frozen=True, slots=True)
class Chosen:
    """The process that a rule would kill in a scope.

    `cgroup` is 0 for a process outside of pods. `start_time` is in ticks since the boot, and `memory` in bytes.
    """

    cgroup: int
    pid: int
    start_time: int
    memory: int
    priority: int
    comm: str


class Scored(NamedTuple):
    """The score of a cgroup's processes, and the priority that it stands for."""

    priority: int
    score: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The state after a look. `boot_time_ns` is the time of the look by the boot clock, or 0 before the first.

    `mode` is None before the first request. `written` is True if all processes have their scores in the mode Enforce.
    `margin`, `margins` and `total` are in bytes. `margin` is None while there is no order, and `margins` are those of
    single priorities. `unmet` has the priorities that may die too early, and `message` says what is wrong. By scope,
    `spared` has the process that the original values would have chosen in the mode Enforce, and `would_kill` the one
    that the scores would have chosen in Audit.
    `scored` has the ids of the cgroups whose processes the look had scores for. `scores` has the scores that it wrote,
    by the same ids, in the mode Enforce. `kernel_log` says why the kernel's log cannot be followed. It is empty if it
    is followed, and None if the agent did not ask for it.
    """

    boot_id: str
    boot_time_ns: int = 0
    time: str | None = None
    mode: Mode | None = None
    written: bool = False
    margin: int | None = None
    margins: Mapping[int, int] = field(default_factory=dict)
    total: int = 0
    unmet: tuple[int, ...] = ()
    message: str = ""
    spared: Mapping[str, Chosen] = field(default_factory=dict)
    would_kill: Mapping[str, Chosen] = field(default_factory=dict)
    scored: frozenset[int] = frozenset()
    scores: Mapping[int, Scored] = field(default_factory=dict)
    kernel_log: str | None = None


def write(path: Path, report: Report) -> None:
    """Replace the file. A reader finds the earlier report or this one, and never a part. OSError if that fails."""
    document = {
        "version": VERSION,
        "bootId": report.boot_id,
        "bootTimeNs": report.boot_time_ns,
        "time": report.time,
        "mode": report.mode,
        "written": report.written,
        "marginBytes": report.margin,
        "marginsBytes": {str(priority): size for priority, size in report.margins.items()},
        "totalBytes": report.total,
        "unmet": list(report.unmet),
        "message": report.message,
        "spared": {scope: _raw(each) for scope, each in report.spared.items()},
        "wouldKill": {scope: _raw(each) for scope, each in report.would_kill.items()},
        "scored": sorted(report.scored),
        "scores": {str(cgroup): each._asdict() for cgroup, each in report.scores.items()},
        "kernelLog": report.kernel_log,
    }
    write_atomic(path, json.dumps(document).encode() + b"\n", durable=False, mode=READABLE)


def read(path: Path) -> Report:
    """Return the report in the file. OSError if it cannot be read, and ValueError if it is no report."""
    with path.open("rb") as file:
        data = file.read(LIMIT + 1)
    if len(data) > LIMIT:
        raise ValueError(f"it has more than {LIMIT} bytes")
    return parse(data)


def parse(data: bytes) -> Report:
    """Return the report in JSON data. ValueError with the reason if it is none of this version."""
    raw = json.loads(data)
    if not isinstance(raw, dict) or raw.get("version") != VERSION:
        raise ValueError(f"its version is not {VERSION}: agent and adjuster must be of the same release")
    try:
        return _report(raw)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"a part of it is missing or wrong: {error!r}") from error


def _report(raw: Mapping[str, Any]) -> Report:
    if raw["mode"] not in (None, *get_args(Mode)):
        raise ValueError(f"its mode is none of {', '.join(get_args(Mode))}")
    return Report(
        boot_id=str(raw["bootId"]),
        boot_time_ns=int(raw["bootTimeNs"]),
        time=raw["time"] and str(raw["time"]),
        mode=raw["mode"],
        written=raw["written"] is True,
        margin=None if raw["marginBytes"] is None else int(raw["marginBytes"]),
        margins={int(priority): int(size) for priority, size in raw.get("marginsBytes", {}).items()},
        total=int(raw["totalBytes"]),
        unmet=tuple(map(int, raw["unmet"])),
        message=str(raw["message"]),
        spared={str(scope): _chosen(each) for scope, each in raw["spared"].items()},
        would_kill={str(scope): _chosen(each) for scope, each in raw["wouldKill"].items()},
        scored=frozenset(map(int, raw["scored"])),
        scores={
            int(cgroup): Scored(int(each["priority"]), int(each["score"]))
            for cgroup, each in raw.get("scores", {}).items()
        },
        kernel_log=None if raw.get("kernelLog") is None else str(raw["kernelLog"]),
    )


def _raw(chosen: Chosen) -> dict[str, Any]:
    raw = asdict(chosen)
    return {"startTime": raw.pop("start_time"), "bytes": raw.pop("memory"), **raw}


def _chosen(raw: Mapping[str, Any]) -> Chosen:
    cgroup, pid, start_time, memory, priority = (int(raw[name]) for name in _NUMBERS)
    return Chosen(cgroup, pid, start_time, memory, priority, str(raw["comm"]))

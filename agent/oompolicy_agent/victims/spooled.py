# SPDX-License-Identifier: Apache-2.0
"""One victim as the spool keeps it: a line of JSON, and behind it the kernel's record. Pure."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any, Final

from oompolicy_agent.victims.event import micro_time, nanoseconds
from oompolicy_agent.victims.naming import owner_by_names
from oompolicy_agent.victims.record import parse_victim, record_of
from oompolicy_agent.victims.report import Report

_HOST_LEVELS: Final = 3
"""Of the path of a cgroup that is no pod's: whose processes they are, such as `system.slice/ssh.service`."""


@dataclass(frozen=True, slots=True)
class Spooled:
    """One victim on disk. `realtime_offset_ns` turns its boot's clock into the time of day.

    `raw` is the record, empty where the finished `report` has taken its place. `repeats` more victims of the same
    `group` have no record of their own; the last of them died at `last_ns`, the time of day.
    """

    boot_id: str
    realtime_offset_ns: int
    raw: bytes
    report: Report | None = None
    group: str = ""
    repeats: int = 0
    last_ns: int = 0

    @property
    def killed_ns(self) -> int:
        """The time of day, in nanoseconds since the epoch."""
        if self.report:
            return nanoseconds(self.report.event["eventTime"])
        return record_of(self.raw).boottime_ns + self.realtime_offset_ns


def realtime_offset_ns() -> int:
    """Time of day minus the boot clock."""
    return time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def group_of(raw: bytes) -> str:
    """The container that a record's victim was in, or its pod, or its place among the host's cgroups."""
    names = parse_victim(raw, "").names
    owner = owner_by_names(names)
    return f"{owner.cgroup_uid}/{owner.container_id}" if owner else "/".join(names[:_HOST_LEVELS])


def encode(spooled: Spooled) -> bytes:
    """The file's content."""
    head: dict[str, Any] = {
        "version": 1,
        "bootId": spooled.boot_id,
        "realtimeOffsetNs": spooled.realtime_offset_ns,
        "group": spooled.group,
    }
    if spooled.repeats:
        head |= {"repeats": spooled.repeats, "lastNs": spooled.last_ns}
    if spooled.report:
        head["report"] = spooled.report._asdict()
    return json.dumps(head).encode() + b"\n" + spooled.raw


def decode(data: bytes) -> Spooled:
    """The victim. ValueError, OverflowError and RecursionError say that the file holds none."""
    head, _, raw = data.partition(b"\n")
    fields = json.loads(head)
    match fields:
        case {"version": 1, "bootId": str(boot_id), "realtimeOffsetNs": int(offset)}:
            report = _report(fields["report"]) if "report" in fields else None
        case _:
            raise ValueError("not a spooled victim of version 1")
    group, repeats, last = fields.get("group"), fields.get("repeats", 0), fields.get("lastNs", 0)
    if not all(isinstance(number, int) and number >= 0 for number in (repeats, last)):
        raise ValueError("what it says of repeats is no number")
    if not isinstance(group, str):
        group = _group(raw, report)
    found = Spooled(boot_id, offset, raw, report, group, repeats, last)
    for time_ns in (found.killed_ns, last):
        micro_time(time_ns)
    return found


def _report(fields: object) -> Report:
    """A finished report; the target checks what it needs of its Event. ValueError."""
    match fields:
        case {"event": {"eventTime": str(), "note": str()} as event, "summary": dict(summary)}:
            return Report(event, summary)
    raise ValueError("what it has in place of a record is no report")


def _group(raw: bytes, report: Report | None) -> str:
    """That of a file from before groups were written."""
    if report is None:
        return group_of(raw)
    match report.event:
        case {"regarding": {"uid": str(uid)} as regarding}:
            return f"{uid}/{regarding.get('fieldPath')}"
    return ""

# SPDX-License-Identifier: Apache-2.0
"""One victim as the spool keeps it: a line of JSON, followed by the kernel's record, or a kill in its log. Pure."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import Any, Final

from oompolicy_agent.victims.event import micro_time
from oompolicy_agent.victims.logged import parse_logged
from oompolicy_agent.victims.naming import owner_by_names
from oompolicy_agent.victims.record import Victim, parse_victim
from oompolicy_agent.victims.report import Report, read_report

_HOST_LEVELS: Final = 3
"""Levels of the path of a host cgroup that name the group of its victims, such as `system.slice/ssh.service`."""


@dataclass(frozen=True, slots=True)
class Spooled:
    """One victim on disk. `realtime_offset_ns` turns its boot's clock into the time of day.

    `raw` is the record, and `victim` the same record parsed. If the finished `report` has taken its place, `raw` is
    empty and `victim` is None. `repeats` more victims of the same `group` have no record of their own. The last of them
    died at `last_ns`, the time of day. `logged` is True for a kill in the kernel's log.
    """

    boot_id: str
    realtime_offset_ns: int
    raw: bytes
    victim: Victim | None = None
    report: Report | None = None
    group: str = ""
    repeats: int = 0
    last_ns: int = 0
    logged: bool = False

    @property
    def identity(self) -> str:
        """The identity of the process, from its record."""
        if self.victim is None:
            raise ValueError("the record of the victim is gone")
        return self.victim.identity

    @property
    def killed_ns(self) -> int:
        """The time of the kill in nanoseconds since the epoch."""
        if self.report:
            return self.report.killed_ns
        return (self.victim.boottime_ns if self.victim else 0) + self.realtime_offset_ns


def realtime_offset_ns() -> int:
    """Return the time of day minus the boot clock, in nanoseconds."""
    return time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def spooled_now(boot_id: str, raw: bytes, *, logged: bool = False) -> Spooled:
    """Return a record that was just delivered, by the kernel or from its log. ValueError if it is no record."""
    victim = parse_raw(raw, boot_id, logged=logged)
    return Spooled(boot_id, realtime_offset_ns(), raw, victim, group=group_of(victim), logged=logged)


def parse_raw(raw: bytes, boot_id: str, *, logged: bool) -> Victim:
    """Return the victim of a record, or of a kill in the kernel's log. ValueError if it is none."""
    return parse_logged(raw, boot_id) if logged else parse_victim(raw, boot_id)


def group_of(victim: Victim) -> str:
    """Return the container of the victim, or its pod, or its place among the host's cgroups."""
    owner = owner_by_names(victim.names)
    return f"{owner.cgroup_uid}/{owner.container_id}" if owner else "/".join(victim.names[:_HOST_LEVELS])


def encode(spooled: Spooled) -> bytes:
    """Return the content of the file."""
    head: dict[str, Any] = {
        "version": 1,
        "bootId": spooled.boot_id,
        "realtimeOffsetNs": spooled.realtime_offset_ns,
        "group": spooled.group,
    }
    if spooled.logged:
        head["logged"] = True
    if spooled.repeats:
        head |= {"repeats": spooled.repeats, "lastNs": spooled.last_ns}
    if spooled.report:
        report = spooled.report
        head["report"] = {"event": report.event, "summary": report.summary, "log": report.log}
    return json.dumps(head).encode() + b"\n" + spooled.raw


def decode(data: bytes) -> Spooled:
    """Return the victim of a file.

    Raises:
        ValueError, OverflowError, RecursionError: The file contains no victim.
    """
    head, _, raw = data.partition(b"\n")
    fields = json.loads(head)
    match fields:
        case {"version": 1, "bootId": str(boot_id), "realtimeOffsetNs": int(offset)}:
            report = _report(fields["report"]) if "report" in fields else None
        case _:
            raise ValueError("not a spooled victim of version 1")
    group, repeats, last = fields.get("group"), fields.get("repeats", 0), fields.get("lastNs", 0)
    if not all(isinstance(number, int) and number >= 0 for number in (repeats, last)):
        raise ValueError("the number of repeats, or the time of the last one, is no number")
    logged = fields.get("logged") is True
    victim = None if report else parse_raw(raw, boot_id, logged=logged)
    if not isinstance(group, str):
        group = _group(victim, report)
    found = Spooled(boot_id, offset, raw, victim, report, group, repeats, last, logged)
    for time_ns in (found.killed_ns, last):
        micro_time(time_ns)
    return found


def _report(fields: object) -> Report:
    match fields:
        case {"event": dict(event), "summary": dict(summary), "log": dict(log)} if isinstance(log.get("message"), str):
            return read_report(event, summary, log)
        case {"event": dict(event), "summary": dict(summary)}:
            return read_report(event, summary)
    raise ValueError("the report has no event or no summary")


def _group(victim: Victim | None, report: Report | None) -> str:
    """Return the group of a file from a version that did not write groups."""
    if victim:
        return group_of(victim)
    return f"{report.key[0]}/{report.key[1]}" if report else ""

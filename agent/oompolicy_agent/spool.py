# SPDX-License-Identifier: Apache-2.0
"""Keeps each victim in a file of its own until it is reported, and knows those that were.

A file is written, synced and renamed before the ring buffer's consumer moves on. Whoever dies in between meets
the same record again: its name is the process's identity, so it stays one victim.

A record is named by what is known of pods and cgroups in its moment. Where it cannot be reported soon, the finished
report takes its place on disk, because in an hour nobody knows the pod any more.

What the spool forgets: reports that arrived, or that the target refuses for ever; the oldest beyond its bounds, and
files that cannot be read, both of which `dropped` counts.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from oompolicy_agent.events import nanoseconds
from oompolicy_agent.files import sync_folder, write_synced
from oompolicy_agent.report import Report
from oompolicy_agent.victimrecord import identity, record_of

if TYPE_CHECKING:
    from pathlib import Path

MAX_FILES: Final = 10_000
MAX_BYTES: Final = 16 * 1024 * 1024
MAX_HELD: Final = 256
"""Records kept in memory while the disk takes none: about 400 KiB."""
MAX_REPORTED: Final = 1024
"""Identities remembered: an upgrade delivers a victim twice within a moment, from two program generations."""

_SUFFIX: Final = ".victim"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Spooled:
    """One victim on disk. `realtime_offset_ns` turns its boot's clock into the time of day.

    `raw` is the record, empty where the finished `report` has taken its place.
    """

    boot_id: str
    realtime_offset_ns: int
    raw: bytes
    report: Report | None = None


class Spool:
    """The folder. `pending` is in the order of arrival."""

    def __init__(self, folder: Path, boot_id: str, *, max_files: int = MAX_FILES, max_bytes: int = MAX_BYTES) -> None:
        """Take over what an earlier agent left."""
        self._folder, self._boot_id = folder, boot_id
        self._max_files, self._max_bytes = max_files, max_bytes
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._held: OrderedDict[str, Spooled] = OrderedDict()
        self._reported: OrderedDict[str, None] = OrderedDict()
        self.dropped = 0
        self.bytes = 0
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._take_over()

    @property
    def pending(self) -> tuple[str, ...]:
        """Identities of the victims not yet reported."""
        return (*self._sizes, *self._held)

    @property
    def problem(self) -> str:
        """A sentence while records wait in memory for the disk, or empty."""
        return f"{len(self._held)} victims cannot be written to {self._folder}" if self._held else ""

    @property
    def reported(self) -> tuple[str, ...]:
        """Identities of those that were, for the checkpoint."""
        return tuple(self._reported)

    def remember(self, identities: tuple[str, ...]) -> None:
        """Take over what the checkpoint says was reported."""
        for each in identities:
            self._remember(each)

    def add(self, raw: bytes) -> str | None:
        """Keep a record; its identity, or None if it is known already. Never raises for the disk's sake."""
        record = record_of(raw)
        name = identity(self._boot_id, record.victim_tgid, record.start_boottime_ns)
        if name in self._sizes or name in self._held or name in self._reported:
            return None
        self._store(name, Spooled(self._boot_id, realtime_offset_ns(), raw))
        return name

    def retry_held(self) -> None:
        """Try again to put on disk what it did not take."""
        held, self._held = self._held, OrderedDict()
        for name, spooled in held.items():
            self._store(name, spooled)

    def read(self, name: str) -> Spooled | None:
        """One pending victim, or None, with a word, if its file cannot be used; then it is gone."""
        if name in self._held:
            return self._held[name]
        try:
            return _decode(self._path(name).read_bytes())
        except FileNotFoundError:
            reason = "it is gone"
        except (OSError, ValueError) as error:
            reason = str(error)
        log.warning("spooled victim %s cannot be used and is dropped: %s", name, reason)
        self._drop(name)
        return None

    def keep(self, name: str, spooled: Spooled, report: Report) -> None:
        """Put the finished report in the record's place. Never raises for the disk's sake; the record stays then."""
        finished = replace(spooled, raw=b"", report=report)
        if name in self._held:
            self._held[name] = finished
            return
        try:
            self.publish(name, self.write_temporary(name, finished))
        except OSError as error:
            log.warning("the report of victim %s cannot be spooled; its record is: %s", name, error)
        self._shrink()

    def done(self, name: str) -> None:
        """It was reported."""
        self._remember(name)
        self._remove(name)

    def write_temporary(self, name: str, spooled: Spooled) -> int:
        """The first of two steps: the file, synced, under a name that nobody reads. Its size."""
        data, killed = _encode(spooled), _killed_ns(spooled)
        write_synced(self._temporary(name), data)
        # The order of the next agent: what the file system notes ticks too slowly for a storm.
        os.utime(self._temporary(name), ns=(killed, killed))
        return len(data)

    def publish(self, name: str, size: int) -> None:
        """The second step: from here on the victim is not forgotten."""
        self._temporary(name).replace(self._path(name))
        sync_folder(self._folder)
        self.bytes += size - self._sizes.get(name, 0)
        self._sizes[name] = size

    def _store(self, name: str, spooled: Spooled) -> None:
        try:
            self.publish(name, self.write_temporary(name, spooled))
        except OSError as error:
            log.warning("victim %s cannot be spooled and is kept in memory: %s", name, error)
            with suppress(OSError):
                self._temporary(name).unlink(missing_ok=True)
            self._held[name] = spooled
        self._shrink()

    def _shrink(self) -> None:
        while len(self._held) > MAX_HELD:
            self._drop(next(iter(self._held)))
        while len(self._sizes) > self._max_files or self.bytes > self._max_bytes:
            self._drop(next(iter(self._sizes)))

    def _drop(self, name: str) -> None:
        self.dropped += 1
        self._remove(name)

    def _remove(self, name: str) -> None:
        self._held.pop(name, None)
        self.bytes -= self._sizes.pop(name, 0)
        with suppress(OSError):  # it would come back after a restart, and is known as reported then
            self._path(name).unlink(missing_ok=True)

    def _remember(self, name: str) -> None:
        self._reported[name] = None
        while len(self._reported) > MAX_REPORTED:
            self._reported.popitem(last=False)

    def _take_over(self) -> None:
        found = []
        for path in self._folder.iterdir():
            if path.suffix == _SUFFIX:
                stat = path.stat()
                found.append((stat.st_mtime_ns, path.stem, stat.st_size))
            elif path.name.endswith(".tmp"):
                path.unlink()
        for _, name, size in sorted(found):
            self._sizes[name] = size
            self.bytes += size
        self._shrink()

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}{_SUFFIX}"

    def _temporary(self, name: str) -> Path:
        return self._folder / f".{name}.tmp"


def realtime_offset_ns() -> int:
    """Time of day minus the boot clock."""
    return time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def _killed_ns(spooled: Spooled) -> int:
    """The time of day, in nanoseconds since the epoch."""
    if spooled.report:
        return nanoseconds(spooled.report.event["eventTime"])
    return record_of(spooled.raw).boottime_ns + spooled.realtime_offset_ns


def _encode(spooled: Spooled) -> bytes:
    head: dict[str, Any] = {"version": 1, "bootId": spooled.boot_id, "realtimeOffsetNs": spooled.realtime_offset_ns}
    if spooled.report:
        head["report"] = spooled.report._asdict()
    return json.dumps(head).encode() + b"\n" + spooled.raw


def _decode(data: bytes) -> Spooled:
    """ValueError if it is not a spooled victim."""
    head, _, raw = data.partition(b"\n")
    fields = json.loads(head)
    match fields:
        case {"report": {"event": {"eventTime": str(), "note": str()} as event, "summary": dict(summary)}}:
            report: Report | None = Report(event, summary)
        case _:
            report = None
            record_of(raw)
    match fields:
        case {"version": 1, "bootId": str(boot_id), "realtimeOffsetNs": int(offset)}:
            return Spooled(boot_id, offset, raw, report)
    raise ValueError("not a spooled victim of version 1")

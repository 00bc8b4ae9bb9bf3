# SPDX-License-Identifier: Apache-2.0
"""Keep each victim in a file of its own until it is reported, and remember the reported ones.

A file is written, synced and renamed before the consumer of the ring buffer moves on. If the agent ends in between, it
receives the same record again. The name of the file is the identity of the process, so it stays one victim.

A record is named by the pods and cgroups that are known at its time. If it cannot be reported soon, the finished report
takes its place on disk, because an hour later the pod is no longer known.

A container that already has many victims here gets no more records. One of its records counts the others. So no
container takes the room of another one.

The spool forgets reports that arrived, and reports that the sink refuses for ever. Beyond its bounds it drops the
oldest victim of the container that has the most. It also drops files that cannot be used. `dropped` counts both.
"""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from oompolicy_agent.plumbing.files import sync_folder, write_synced
from oompolicy_agent.victims.losses import Losses
from oompolicy_agent.victims.record import is_better, record_of
from oompolicy_agent.victims.shares import UNKNOWN, Shares
from oompolicy_agent.victims.spooled import Spooled, decode, encode, spooled_now

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from oompolicy_agent.victims.report import Report

MAX_FILES: Final = 10_000
MAX_BYTES: Final = 16 * 1024 * 1024
MAX_EACH: Final = 128
"""The records of one container: five times the Events that a pod gets at once (`EventLimits.pod_burst`)."""
MAX_HELD: Final = 256
"""The records kept in memory while the disk is full: about 400 KiB."""
MAX_HELD_EACH: Final = 32
"""The records of one container among the records in memory."""
MAX_REPORTED: Final = 1024
"""The identities to remember. In an upgrade two generations of programs deliver the same victim."""

_SUFFIX: Final = ".victim"

log = logging.getLogger(__name__)


class Spool:
    """The folder of victims. `pending` has them in the order of arrival."""

    def __init__(self, folder: Path, boot_id: str, *, max_files: int = MAX_FILES, max_bytes: int = MAX_BYTES) -> None:
        """Take over the files of an earlier agent. A folder that cannot be used is a `problem`, and no error."""
        self._folder, self._boot_id = folder, boot_id
        self._max_files, self._max_bytes = max_files, max_bytes
        self._sizes: OrderedDict[str, int] = OrderedDict()
        self._held: OrderedDict[str, Spooled] = OrderedDict()
        self._shares, self._held_shares = Shares(), Shares()
        self._complete: set[str] = set()
        self._inherited: set[str] = set()
        self._entrusted: dict[str, int] = {}
        self._reported: OrderedDict[str, None] = OrderedDict()
        self._unsynced = False
        self.bytes = 0
        self._unusable: str | None = None
        self._repeats: dict[str, int] = {}
        self._take_over()
        self._losses = Losses(folder.with_name("losses"))
        self._shrink()

    @property
    def pending(self) -> tuple[str, ...]:
        """The identities of the victims that are not yet reported."""
        return (*self._sizes, *self._held)

    @property
    def dropped(self) -> int:
        """The number of lost victims since the state folder was created."""
        return self._losses.dropped

    @property
    def problem(self) -> str | None:
        """A sentence while the disk does not accept victims, or None."""
        if self._held:
            return f"{self._waiting_in_memory} victims cannot be written to {self._folder}"
        reason = self._unusable or self._losses.problem
        return f"{self._folder.parent} cannot be used, and victims will wait in memory: {reason}" if reason else None

    @property
    def _waiting_in_memory(self) -> int:
        return sum(self._entrusted.values()) + sum(1 + spooled.repeats for spooled in self._held.values())

    @property
    def reported(self) -> tuple[str, ...]:
        """The identities of reported victims, and of victims that another record counts, for the checkpoint."""
        return tuple(self._reported)

    def remember(self, identities: tuple[str, ...]) -> None:
        """Take over reported identities from the checkpoint. After a power loss their files may exist again."""
        for each in identities:
            self._remember(each)
            if each in self._sizes:
                self._remove(each)

    def add(self, raw: bytes, *, logged: bool = False) -> str | None:
        """Keep a record. Return its identity, or None if it needs no report of its own. A full disk is no error.

        `logged` is True for a kill in the kernel's log.
        """
        spooled = spooled_now(self._boot_id, raw, logged=logged)
        name = spooled.identity
        if name in self._entrusted or name in self._reported:
            return None
        if (name in self._sizes or name in self._held) and (known := self.read(name)):
            # Two versions of the program report the victim while they change places, and one was asked about less.
            if known.raw and not logged and is_better(record_of(raw), record_of(known.raw)):
                self._store(name, replace(known, raw=raw, victim=spooled.victim))
            return None
        if self._is_crowded(spooled.group) and self._count(spooled):
            self._remember(name)
            return None
        self._store(name, spooled)
        return name

    def retry_held(self) -> None:
        """Write the victims that the disk did not accept before, and make removals durable."""
        held, self._held = self._held, OrderedDict()
        self._held_shares = Shares()
        for name, spooled in held.items():
            if self._held:  # the disk did not accept the one before
                self._hold(name, spooled)
            else:
                self._store(name, spooled)
        if self._unsynced:
            self._unsynced = False
            with suppress(OSError):
                sync_folder(self._folder)
        self._losses.held = self._waiting_in_memory
        self._losses.save()
        if not self._losses.problem:
            self._unusable = None

    def read(self, name: str) -> Spooled | None:
        """Return one pending victim. If its file cannot be used, log the reason, drop it and return None."""
        if name in self._held:
            return self._held[name]
        try:
            found = decode(self._path(name).read_bytes())
        except FileNotFoundError:
            self.drop(name, "the file no longer exists")
        except (OSError, ValueError, OverflowError, RecursionError) as error:
            self.drop(name, str(error))
        else:
            self._shares.add(name, found.group)
            self._repeats[name] = found.repeats
            return found
        return None

    def keep(self, name: str, spooled: Spooled, report: Report) -> None:
        """Replace the record by the finished report. If the disk is full, the record stays."""
        finished = replace(spooled, raw=b"", victim=None, report=report)
        if name in self._held:
            self._held[name] = finished
            return
        try:
            self.publish(name, self.write_temporary(name, finished))
        except OSError as error:
            log.warning("the report of victim %s cannot be spooled, so its record stays: %s", name, error)
        self._shrink()

    def complete(self, name: str) -> None:
        """Note that the report of this victim is on its way with its count, so it counts no more repeats."""
        self._complete.add(name)

    def untouched(self, name: str) -> None:
        """Note that the report of this victim was never sent."""
        self._complete.discard(name)

    def returned(self, name: str) -> bool:
        """Note that the report did not arrive. Return True if the victim is still here and can be reported again."""
        lost = self._entrusted.pop(name, 0)
        self._losses.dropped += lost
        return not lost

    def done(self, name: str) -> None:
        """Remove a victim whose report arrived."""
        self._remember(name)
        self._remove(name)

    def drop(self, name: str, reason: str) -> None:
        """Log the reason, remove the victim and count it as lost."""
        log.warning("spooled victim %s cannot be used and is dropped: %s", name, reason)
        self._drop(name)

    def write_temporary(self, name: str, spooled: Spooled) -> int:
        """Write the file under a name that no agent reads, and sync it. Return its size."""
        data, killed = encode(spooled), spooled.killed_ns
        write_synced(self._temporary(name), data)
        # The next agent sorts by this time. The file system's own clock is too coarse for many kills at once.
        os.utime(self._temporary(name), ns=(killed, killed))
        return len(data)

    def publish(self, name: str, size: int) -> None:
        """Give the file its name. From now on the victim survives a restart."""
        self._temporary(name).replace(self._path(name))
        sync_folder(self._folder)
        self.bytes += size - self._sizes.get(name, 0)
        self._sizes[name] = size

    # The methods below count the victims beyond a container's share.

    def _is_crowded(self, group: str) -> bool:
        held = self._held_shares.count(group)
        return held >= MAX_HELD_EACH or held + self._shares.count(group) >= MAX_EACH

    def _count(self, spooled: Spooled) -> bool:
        """Count the victim in the newest record of its container that may still change, or return False."""
        for shares in (self._held_shares, self._shares):
            for name in shares.newest(spooled.group):
                if name not in self._complete and name not in self._inherited:
                    return self._add_repeat(name, spooled.killed_ns)
        return False

    def _add_repeat(self, name: str, killed_ns: int) -> bool:
        found = self.read(name)
        if found is None:
            return False
        more = replace(found, repeats=found.repeats + 1, last_ns=max(found.last_ns, killed_ns))
        if name in self._held:
            self._held[name] = more
        else:
            try:
                self.publish(name, self.write_temporary(name, more))
            except OSError:
                return False
        self._repeats[name] = more.repeats
        return True

    # The methods below keep the victims within the limits.

    def _store(self, name: str, spooled: Spooled) -> None:
        self._held.pop(name, None)
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.publish(name, self.write_temporary(name, spooled))
        except OSError as error:
            log.warning("victim %s cannot be written to the disk and is kept in memory: %s", name, error)
            with suppress(OSError):
                self._temporary(name).unlink(missing_ok=True)
            self._hold(name, spooled)
        else:
            self._unusable = None
            self._shares.add(name, spooled.group)
        self._shrink()

    def _hold(self, name: str, spooled: Spooled) -> None:
        self._held[name] = spooled
        self._held_shares.add(name, spooled.group)

    def _shrink(self) -> None:
        while len(self._held) > MAX_HELD:
            self._make_room(self._held_shares.to_drop())
        while len(self._sizes) > self._max_files or self.bytes > self._max_bytes:
            for name in (unread := self._shares.unread()):
                self.read(name)
            if not unread:
                self._make_room(self._shares.to_drop())

    def _make_room(self, name: str) -> None:
        """Remove one victim. If its report is on the way, it is lost only if the report comes back."""
        if name in self._complete:
            victims = 1 + self._repeats.get(name, 0)
            self._remove(name)
            self._entrusted[name] = victims
        else:
            self._drop(name)

    def _drop(self, name: str) -> None:
        self._losses.dropped += 1 + self._repeats.get(name, 0)
        self._remove(name)

    def _remove(self, name: str) -> None:
        self._held.pop(name, None)
        self.bytes -= self._sizes.pop(name, 0)
        for shares in (self._shares, self._held_shares):
            shares.remove(name)
        for names in (self._complete, self._inherited):
            names.discard(name)
        for counts in (self._repeats, self._entrusted):
            counts.pop(name, None)
        self._unsynced = True
        with suppress(OSError):  # after a restart it would be known as reported
            self._path(name).unlink(missing_ok=True)

    def _remember(self, name: str) -> None:
        self._reported[name] = None
        while len(self._reported) > MAX_REPORTED:
            self._reported.popitem(last=False)

    def _take_over(self) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            self._unusable = str(error)
        for _, name, size in sorted(self._found()):
            self._sizes[name] = size
            self.bytes += size
            self._shares.add(name, UNKNOWN)
            # The earlier agent may have sent its report with the count that it has now.
            self._inherited.add(name)

    def _found(self) -> Iterator[tuple[int, str, int]]:
        """Yield the time of the kill, the name and the size of each file."""
        try:
            paths = list(self._folder.iterdir())
        except OSError as error:
            self._unusable = self._unusable or str(error)
            return
        for path in paths:
            with suppress(OSError):
                if path.suffix == _SUFFIX:
                    stat = path.stat()
                    yield stat.st_mtime_ns, path.stem, stat.st_size
                elif path.name.endswith(".tmp"):
                    path.unlink()

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}{_SUFFIX}"

    def _temporary(self, name: str) -> Path:
        return self._folder / f".{name}.tmp"

# SPDX-License-Identifier: Apache-2.0
"""Follow the kernel's log, and add each kill to the file for the agent exactly once.

The log has no numbers, so a read continues behind the line that the last one ended with. The kernel counts its kills
(`oom_kill` in /proc/vmstat), and each kill has a line. A kill that is counted and has no line after some seconds was
overwritten in the log, or removed from it. It is counted as lost.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from oompolicy_agent.kernellog import handover, kills
from oompolicy_agent.kernellog.handover import Handover
from oompolicy_agent.kernellog.records import split
from oompolicy_agent.plumbing.clock import boot_clock
from oompolicy_agent.plumbing.syslog import read_all

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from oompolicy_agent.kernellog.handover import Place
    from oompolicy_agent.kernellog.kills import Found
    from oompolicy_agent.kernellog.records import Record

VMSTAT: Final = Path("/proc/vmstat")
GRACE: Final = 5.0
"""Seconds from the count of a kill to its line, at most. The kernel logs the line right after it has counted."""

_DRIFT: Final = 1e-4
"""The log's clock is not corrected by NTP. It is wrong by at most this share of the time."""


class LogError(Exception):
    """The log cannot be followed. The message is a sentence for the node's owner."""


def counted_kills(vmstat: Path = VMSTAT) -> int:
    """Return the kernel's number of kills since the boot. OSError if it has none."""
    for line in vmstat.read_bytes().splitlines():
        name, _, value = line.partition(b" ")
        if name == b"oom_kill":
            return int(value)
    raise OSError(f"{vmstat} has no oom_kill: this kernel was built without CONFIG_VM_EVENT_COUNTERS")


class LogFollower:
    """The follower of one node. `problem` is a sentence while the log cannot be followed, or an empty string."""

    def __init__(
        self,
        path: Path,
        boot_id: str,
        place: Callable[[int], Place | None],
        *,
        read_log: Callable[[], bytes] = read_all,
        counted: Callable[[], int] = counted_kills,
        clock: Callable[[], int] = boot_clock,
    ) -> None:
        """`path` is the file for the agent. `place` returns the place of a process at the last look."""
        self.problem = ""
        self._path, self._boot_id, self._place = path, boot_id, place
        self._read_log, self._counted, self._clock = read_log, counted, clock
        self._state: Handover | None = None
        self._seen = -1
        self._missing_since: float | None = None

    def end(self) -> None:
        """Remove the file. A later follower begins at the end of the log, because BPF programs report the kills now."""
        self.problem, self._state, self._missing_since = "", None, None
        with suppress(OSError):  # scores must not depend on it
            self._path.unlink(missing_ok=True)

    def follow(self) -> None:
        """Look for new kills."""
        try:
            self._state = self._state or self._earlier() or self._begin()
            self._check(self._state)
        except OSError as error:
            self.problem = f"the kernel's log cannot be read: {error}{_hint(error)}"
        except LogError as error:
            self.problem = str(error)
        else:
            self.problem = ""

    def _earlier(self) -> Handover | None:
        """Return the state of an earlier adjuster of this boot, or None."""
        try:
            found = handover.read(self._path)
        except (OSError, ValueError, RecursionError):
            return None
        return found if found.boot_id == self._boot_id else None

    def _begin(self) -> Handover:
        """Begin behind the end of the log. Nothing is reported of what happened before."""
        while True:
            before = self._counted()
            records = self._records()
            if before == self._counted():
                cursor = _hash(records[-1].raw) if records else ""
                return self._write(Handover(self._boot_id, cursor, before, begin_ns=self._clock()))

    def _check(self, state: Handover) -> None:
        number = self._counted()
        if number == self._seen and self._missing_since is None:
            return
        records = self._records()
        found = _behind(records, state.cursor)
        done = self._add(state, records, found) if found else state
        missing, now = number - done.accounted, self._clock()
        if missing <= 0:
            self._missing_since = None
        elif self._missing_since is None:
            self._missing_since = now
        elif now - self._missing_since >= GRACE * 1e9:
            done = replace(done, lost=done.lost + missing, accounted=number)
            self._missing_since = None
        if done != state:
            self._write(done)
        self._seen = number

    def _add(self, state: Handover, records: Sequence[Record], found: Sequence[Found]) -> Handover:
        """Return the state with these kills."""
        now = self._clock()
        offset = min(
            now - records[found[-1].index].time_us * 1000,
            state.offset_ns + int((now - state.offset_at_ns) * _DRIFT),
        )
        done = replace(
            state,
            cursor=_hash(records[found[-1].index].raw),
            accounted=state.accounted + len(found),
            offset_ns=offset,
            offset_at_ns=now,
        )
        for kill in (each.kill for each in found if each.kill):
            trigger = self._place(kill.trigger[0]) if kill.trigger else None
            at = min(now, kill.time_us * 1000 + offset)
            done = done.with_kill(handover.to_json(kill, at, self._place(kill.pid), trigger))
        return done

    def _records(self) -> list[Record]:
        log = self._read_log()
        records = split(log)
        if log and not records:
            raise LogError("the kernel's log has no times, so its kills cannot be told apart: set printk.time=1")
        return records

    def _write(self, content: Handover) -> Handover:
        try:
            handover.write(self._path, content)
        except OSError as error:
            raise LogError(f"the kills in the kernel's log cannot be written for the agent: {error}") from error
        self._state = content
        return content


def _behind(records: Sequence[Record], cursor: str) -> list[Found]:
    """Return the records about kills behind the cursor. If the log no longer has it, all are behind it.

    The search begins with the first record all the same, because the lines of one OOM explain each other.
    """
    place = next((index for index in range(len(records) - 1, -1, -1) if _hash(records[index].raw) == cursor), -1)
    return [each for each in kills.find(records) if each.index > place]


def _hash(raw: bytes) -> str:
    return sha256(raw).hexdigest()


def _hint(error: OSError) -> str:
    if isinstance(error, PermissionError) and error.filename == "syslog(2)":
        return "; the adjuster needs the capability SYSLOG (kernelLog.enabled in the chart)"
    return ""

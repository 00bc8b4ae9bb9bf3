# SPDX-License-Identifier: Apache-2.0
"""Read processes from /proc, and write their oom_score_adj. No other file of a process is written by the adjuster.

A folder /proc/PID that was opened belongs to one process: after its end every access through the descriptor fails, also
if the kernel uses the pid again. So all reading and writing of a process goes through one descriptor, which stays open.
"""

from __future__ import annotations

import errno
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from oompolicy_agent.adjuster.badness import HIGHEST, LOWEST, PROTECTED
from oompolicy_agent.adjuster.group import Process, ProcessId

if TYPE_CHECKING:
    from collections.abc import Iterable, Set

PROC: Final = Path("/proc")
VANISHED: Final = "vanished"
"""The name of the error of a process that ended between two accesses. It is no failure."""

HIDDEN: Final = "hidden"
"""The name of the error of a running process that this /proc does not have. It is of another pid namespace, or hidden
by the mount option hidepid."""

_GONE: Final = {errno.ENOENT, errno.ESRCH}
_KIB_PER_PAGE: Final = os.sysconf("SC_PAGESIZE") // 1024
_FIELDS: Final = (b"\nPPid:", b"\nVmRSS:", b"\nVmPTE:", b"\nVmSwap:")
"""The fields of /proc/PID/status in the order of proc_pid_status() in fs/proc/array.c. A kernel thread and a zombie
have no memory, and so no such lines. A line break in the name of a process is escaped."""
_NUMBER: Final = 32
"""Each number ends within so many bytes after the name of its field."""
_START_TIME: Final = 19
"""The index of the start time in /proc/PID/stat after the name in parentheses. It is field 22 in proc(5)."""
_FILE_SIZE: Final = 16_384
"""The size of a read. The files are ten times smaller, and a longer one would only lose its end."""


class _Opened(NamedTuple):
    fd: int
    id: ProcessId


class Processes:
    """The processes of this machine. `errors` counts the accesses that failed, by the name of the error."""

    def __init__(self, proc: Path = PROC) -> None:
        self._proc = proc
        self._opened: dict[int, _Opened] = {}
        self.errors: Counter[str] = Counter()

    def read(self, pids: Iterable[int]) -> list[Process]:
        """Return the processes that have memory of their own, the oldest first."""
        found = [process for pid in pids if (process := self._read(pid))]
        return sorted(found, key=lambda each: (each.id.start, each.id.pid))

    def expect(self, pids: Iterable[int]) -> None:
        """Count the processes of these that are hidden. They are running: their cgroup had them after they were read.

        A cgroup has the pid 0 for a process of another pid namespace.
        """
        unread = [pid for pid in pids if pid not in self._opened]
        hidden = sum(not (self._proc / str(pid)).exists() for pid in unread)
        if hidden:
            self.errors[HIDDEN] += hidden

    def all_pids(self) -> list[int]:
        """Return the pids of all processes and kernel threads of the machine."""
        return [int(path.name) for path in self._proc.iterdir() if path.name.isdecimal()]

    def write(self, process: Process, score: int, /) -> bool:
        """Write the oom_score_adj of a process. Return True if it has the value now, or has ended."""
        if not LOWEST <= score <= HIGHEST:
            raise ValueError(f"{score} is outside {LOWEST}..{HIGHEST}, and is not written to {process.id}")
        try:
            opened = self._open(process.id.pid)
            # A process that was protected since it was read must stay protected.
            if opened.id == process.id and _score(opened.fd) > PROTECTED:
                _write_score(opened.fd, score)
        except OSError as error:
            return self._failed(process.id.pid, error)
        return True

    def comm(self, process: Process) -> str:
        """Return the name of a process, or an empty string if it has ended."""
        try:
            opened = self._open(process.id.pid)
            name = _content(opened.fd, "comm") if opened.id == process.id else b""
        except OSError as error:
            self._failed(process.id.pid, error)
            return ""
        return name.decode(errors="replace").removesuffix("\n")

    def is_in(self, process: Process, cgroups: Set[str]) -> bool:
        """Return True if a process is in or below a cgroup with one of these names.

        The kernel shows no path of more than 4 KiB. Such a path counts too: only a pod can make one.
        """
        try:
            opened = self._open(process.id.pid)
            path = _content(opened.fd, "cgroup").decode(errors="replace") if opened.id == process.id else ""
        except OSError as error:
            if error.errno == errno.ENAMETOOLONG:
                return True
            self._failed(process.id.pid, error)
            return False
        return not cgroups.isdisjoint(path.rstrip("\n").split("/"))

    def keep(self, pids: Iterable[int]) -> None:
        """Close the descriptors of all processes but these."""
        for pid in set(self._opened) - set(pids):
            self._close(pid)

    def _read(self, pid: int) -> Process | None:
        reused = pid in self._opened
        try:
            return _process(self._open(pid))
        except OSError as error:
            self._failed(pid, error)
            # The descriptor was of a process that ended, and another one may have its pid now.
            return self._read(pid) if reused and error.errno in _GONE else None

    def _open(self, pid: int) -> _Opened:
        if pid not in self._opened:
            fd = os.open(self._proc / str(pid), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                self._opened[pid] = _Opened(fd, ProcessId(pid, _start_time(fd)))
            except OSError:
                os.close(fd)
                raise
        return self._opened[pid]

    def _close(self, pid: int) -> None:
        opened = self._opened.pop(pid, None)
        if opened:
            os.close(opened.fd)

    def _failed(self, pid: int, error: OSError) -> bool:
        """Count an error. Return True if the process has ended."""
        gone = error.errno in _GONE
        self.errors[VANISHED if gone else errno.errorcode.get(error.errno or 0, str(error))] += 1
        self._close(pid)
        return gone


def _process(opened: _Opened) -> Process | None:
    numbers = _numbers(_content(opened.fd, "status"))
    if not numbers:
        return None
    parent, *kib = numbers
    return Process(opened.id, parent, _score(opened.fd), sum(each // _KIB_PER_PAGE for each in kib))


def _numbers(status: bytes) -> list[int]:
    """Return the numbers of the fields, or nothing if one is missing."""
    found, at = list[int](), 0
    for name in _FIELDS:
        at = status.find(name, at)
        if at < 0:
            return []
        at += len(name)
        found.append(int(status[at : at + _NUMBER].split(None, 1)[0]))
    return found


def _score(folder: int) -> int:
    return int(_content(folder, "oom_score_adj"))


def _start_time(folder: int) -> int:
    # The name of a process may have any characters, also parentheses.
    return int(_content(folder, "stat").rpartition(b")")[2].split()[_START_TIME])


def _content(folder: int, name: str) -> bytes:
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        return os.read(fd, _FILE_SIZE)
    finally:
        os.close(fd)


def _write_score(folder: int, score: int) -> None:
    fd = os.open("oom_score_adj", os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    try:
        os.write(fd, str(score).encode())
    finally:
        os.close(fd)

# SPDX-License-Identifier: Apache-2.0
"""Processes that hold a known amount of memory, and the OOMs that they cause."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.node.cgroup import Cgroup

PROGRAM: Final = Path(__file__).parents[2] / "build/workload/hog"
STEP_MIB: Final = 2


class Hog:
    """A running `workload/hog`. It holds `mib` MiB in `cgroup` as soon as the constructor returns."""

    def __init__(self, cgroup: Cgroup | None, mib: int, *, adj: int = 0, options: Iterable[str] = ()) -> None:
        self.mib = mib
        self.cgroup = cgroup
        place = ("--cgroup", str(cgroup.path)) if cgroup else ()
        command = [PROGRAM, *place, "--adj", str(adj), *options, str(mib)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self._expect("ready")

    def __repr__(self) -> str:
        return f"<hog {self.pid} in {self.cgroup}, {self.mib} MiB>"

    @property
    def pid(self) -> int:
        return self.process.pid

    def threads(self) -> list[int]:
        """Return all thread ids. The kernel names the thread that holds the memory, which may not be the first."""
        return [int(path.name) for path in Path(f"/proc/{self.pid}/task").iterdir()]

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def grow(self, mib: int) -> bool:
        """Hold more memory. Return False if the kernel killed this process for it."""
        self.ask_to_grow(mib)
        if not self._answers("grown"):
            return False
        self.mib += mib
        return True

    def ask_to_grow(self, mib: int) -> None:
        """Tell the process to hold more memory, and do not wait."""
        self._send(f"grow {mib}")

    def rush(self, threads: int, mib: int) -> None:
        """Let `threads` threads take `mib` MiB each at the same time, and do not wait."""
        self._send(f"rush {threads} {mib}")

    def pour(self, speed: int, mib: int) -> None:
        """Let the process take `speed` MiB a second until it has `mib` MiB more, and do not wait."""
        self._send(f"pour {speed} {mib}")

    def was_killed(self) -> bool:
        """Wait for the end. Return True if it was SIGKILL."""
        return self.process.wait() == -signal.SIGKILL

    def end(self) -> None:
        """Kill the process if it lives, and close its streams."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream:
                stream.close()

    def _send(self, line: str) -> None:
        assert self.process.stdin
        with suppress(BrokenPipeError):
            self.process.stdin.write(f"{line}\n")

    def _answers(self, word: str) -> bool:
        assert self.process.stdout
        return self.process.stdout.readline() == word + "\n"

    def _expect(self, word: str) -> None:
        if not self._answers(word):
            raise RuntimeError(f"{self!r} ended with {self.process.wait()} before it printed {word!r}")


def oom_kills() -> int:
    """Return how many processes the OOM killer has killed on this machine, in every scope."""
    for line in Path("/proc/vmstat").read_text().splitlines():
        name, value = line.split()
        if name == "oom_kill":
            return int(value)
    raise RuntimeError("this kernel does not count oom_kill")


class KernelLog:
    """The kernel's log from this moment on. It does not depend on our program."""

    def __init__(self) -> None:
        self._fd = os.open("/dev/kmsg", os.O_RDONLY)
        os.lseek(self._fd, 0, os.SEEK_END)

    def line(self) -> str:
        """Wait for the next line and return it."""
        return os.read(self._fd, 8192).decode().partition(";")[2].splitlines()[0]

    def victim(self) -> int:
        """Wait for the next process that the OOM killer kills, and return its pid."""
        return int(self._killed()[1])

    def victims_name(self) -> str:
        """Wait for the next process that the OOM killer kills, and return its name."""
        return self._killed()[2]

    def _killed(self) -> re.Match[str]:
        while True:
            killed = re.search(r"Killed process (\d+) \(([^)]*)\)", self.line())
            if killed:
                return killed

    def close(self) -> None:
        os.close(self._fd)


def run_out_of_memory(trigger: Hog, hogs: Iterable[Hog], limit_mib: int = 900) -> list[Hog]:
    """Let `trigger` grow until the OOM killer has killed, and return the dead in the kernel's order.

    The dead can be `hogs` and the trigger. This function waits for as many deaths as the kernel has counted, not for a
    time. More than one process may die, because exit_mmap() hides a victim from the next scan (MMF_OOM_SKIP) before its
    last pages are free.
    """
    by_pid = {thread: hog for hog in (*hogs, trigger) for thread in hog.threads()}
    before = oom_kills()
    with closing(KernelLog()) as log:
        for _ in range(0, limit_mib, STEP_MIB):
            if not trigger.grow(STEP_MIB) or oom_kills() > before:
                # The kernel kills, counts and logs the chosen task of a memory.oom.group a second time with its group.
                dead = list(dict.fromkeys(by_pid[log.victim()] for _ in range(oom_kills() - before)))
                assert all(hog.was_killed() for hog in dead)
                return dead
    raise RuntimeError(f"{trigger!r} grew by {limit_mib} MiB and nobody was killed")

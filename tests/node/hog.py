# SPDX-License-Identifier: Apache-2.0
"""Processes that hold a known amount of memory, and the OOMs they make."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.node.cgroup import Cgroup

PROGRAM: Final = Path(__file__).parents[2] / "build/workload/hog"
STEP_MIB: Final = 2


class Hog:
    """A running `workload/hog`: holds `mib` MiB in `cgroup` as soon as the constructor returns."""

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

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def grow(self, mib: int) -> bool:
        """Hold more; False if that cost this process its life."""
        assert self.process.stdin
        try:
            self.process.stdin.write(f"grow {mib}\n")
        except BrokenPipeError:
            return False
        if not self._said("grown"):
            return False
        self.mib += mib
        return True

    def was_killed(self) -> bool:
        """Wait for the end; True if it was SIGKILL."""
        return self.process.wait() == -signal.SIGKILL

    def end(self) -> None:
        """Kill it if it lives, and forget it."""
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream:
                stream.close()

    def _said(self, word: str) -> bool:
        assert self.process.stdout
        return self.process.stdout.readline() == word + "\n"

    def _expect(self, word: str) -> None:
        if not self._said(word):
            raise RuntimeError(f"{self!r} ended with {self.process.wait()} before it said {word!r}")


def oom_kills() -> int:
    """How many processes the OOM killer has killed on this machine, of whatever scope."""
    for line in Path("/proc/vmstat").read_text().splitlines():
        name, value = line.split()
        if name == "oom_kill":
            return int(value)
    raise RuntimeError("this kernel does not count oom_kill")


def run_out_of_memory(trigger: Hog, hogs: Iterable[Hog], limit_mib: int = 900) -> list[Hog]:
    """Let `trigger` grow until the OOM killer has killed, and return who is dead of `hogs` and the trigger.

    Waits for as many deaths as the kernel has counted, not for a time.
    """
    everyone = [*hogs, trigger]
    before = oom_kills()
    for _ in range(0, limit_mib, STEP_MIB):
        if not trigger.grow(STEP_MIB) or oom_kills() > before:
            return deaths(everyone, oom_kills() - before)
    raise RuntimeError(f"{trigger!r} grew by {limit_mib} MiB and nobody was killed")


def deaths(hogs: Iterable[Hog], count: int) -> list[Hog]:
    """The `count` hogs that are dead or about to be, in the order of `hogs`."""
    alive = {hog.pid: hog for hog in hogs if hog.process.returncode is None}
    dead = []
    while len(dead) < count:
        info = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
        assert info
        hog = alive.pop(info.si_pid)
        assert hog.was_killed(), f"{hog!r} ended by itself"
        dead.append(hog)
    return [hog for hog in hogs if hog in dead]

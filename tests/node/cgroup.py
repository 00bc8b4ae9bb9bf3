# SPDX-License-Identifier: Apache-2.0
"""cgroup v2 directories for tests, with the memory controller enabled. Their end removes everything in them."""

from __future__ import annotations

import os
import select
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final

ROOT: Final = Path("/sys/fs/cgroup")


class Cgroup:
    """A directory below the cgroup root. `Cgroup.make` creates the missing directories above it."""

    def __init__(self, path: Path) -> None:
        self.path: Final = path

    def __repr__(self) -> str:
        return str(self.path.relative_to(ROOT))

    @classmethod
    def make(cls, relative: str, **files: str | int) -> Cgroup:
        """Create the cgroup. `files` are controller files with `__` for the dot: memory__max=64 << 20."""
        path = ROOT
        for segment in relative.split("/"):
            path = path / segment
            path.mkdir(exist_ok=True)
            _enable_memory(path.parent)
        cgroup = cls(path)
        for name, value in files.items():
            cgroup.write(name.replace("__", "."), value)
        return cgroup

    @property
    def id(self) -> int:
        return self.path.stat().st_ino

    def child(self, relative: str, **files: str | int) -> Cgroup:
        return Cgroup.make(f"{self!r}/{relative}", **files)

    def write(self, name: str, value: str | int) -> None:
        (self.path / name).write_text(str(value))

    def swap_out(self, amount: int) -> None:
        """Reclaim until `amount` bytes of this cgroup are in swap. The kernel may reclaim less than it is asked to."""
        while (missing := amount - int((self.path / "memory.swap.current").read_text())) > 0:
            with suppress(BlockingIOError):
                self.write("memory.reclaim", missing)

    def remove(self) -> None:
        """Kill all processes in the cgroup, and remove the tree."""
        if not self.path.exists():
            return
        self._kill()
        _wait_until_empty(self.path / "cgroup.events")
        for directory, _, _ in os.walk(self.path, topdown=False):
            Path(directory).rmdir()

    def _kill(self) -> None:
        # cgroup.kill is of Linux 5.14. The processes of these tests start no others after their first answer.
        if (self.path / "cgroup.kill").exists():
            self.write("cgroup.kill", 1)
            return
        for pid in self.pids():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def pids(self) -> list[int]:
        return [int(line) for procs in self.path.rglob("cgroup.procs") for line in procs.read_text().split()]


def _enable_memory(path: Path) -> None:
    if "memory" not in (path / "cgroup.subtree_control").read_text().split():
        (path / "cgroup.subtree_control").write_text("+memory")


def _wait_until_empty(events: Path) -> None:
    """Wait until no process is left in the cgroup or below it. The kernel reports the change."""
    with events.open() as file:
        change = select.poll()
        change.register(file, select.POLLPRI)
        while "populated 1" in file.read():
            change.poll()
            file.seek(0)

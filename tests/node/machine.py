# SPDX-License-Identifier: Apache-2.0
"""The machine of the tests, changed for a while: cgroups, processes, sysctls, little free memory."""

from __future__ import annotations

import ctypes
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from tests.node.cgroup import Cgroup
from tests.node.hog import Hog

if TYPE_CHECKING:
    from contextlib import ExitStack

AnyHog = TypeVar("AnyHog", bound=Hog)

MCL_CURRENT: Final = 1
"""The constant of <sys/mman.h>."""

LEFT_FREE_MIB: Final = 160
"""The guest's free memory before an OOM of the whole node. With more, page faults would take minutes."""


class Node:
    """The changes that a test makes on this machine. The test's end undoes them in the reverse order."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def cgroup(self, relative: str, **files: str | int) -> Cgroup:
        """Make a cgroup below the root. The end of the test removes the whole tree of its first segment.

        The cgroup may not swap, which is the kubelet's default. Otherwise only a full swap would make a limit count.
        """
        top = Cgroup.make(relative.split("/", maxsplit=1)[0], memory__swap__max=0)
        self._stack.callback(top.remove)
        return Cgroup.make(relative, **files)

    def hog(self, cgroup: Cgroup | None, mib: int, **options: Any) -> Hog:  # noqa: ANN401 (the options of Hog)
        return self.adopt(Hog(cgroup, mib, **options))

    def adopt(self, hog: AnyHog) -> AnyHog:
        self._stack.callback(hog.end)
        return hog

    def sysctl(self, name: str, value: object) -> None:
        self.write("/proc/sys/" + name.replace(".", "/"), value)

    def write(self, path: str, value: object) -> None:
        """Change a file of the kernel for this test."""
        before = Path(path).read_text()
        Path(path).write_text(str(value))
        self._stack.callback(Path(path).write_text, before)

    def affinity(self, cpus: set[int], pid: int = 0) -> None:
        """Run a process, and all processes that it starts, on these CPUs. 0 is this process."""
        self._stack.callback(os.sched_setaffinity, pid, os.sched_getaffinity(pid))
        os.sched_setaffinity(pid, cpus)

    def swap(self, mib: int) -> None:
        """Give this machine swap in a file."""
        file = Path("/var/tmp/swap")
        file.write_bytes(bytes(mib << 20))
        file.chmod(0o600)
        self._stack.callback(file.unlink)
        run("mkswap", "--quiet", str(file))
        run("swapon", str(file))
        self._stack.callback(run, "swapoff", str(file))

    def fill(self) -> None:
        """Leave little free memory. No process owns reserved huge pages, so the kernel can kill no task for them."""
        pin_this_process()
        self.sysctl("vm.nr_hugepages", max(0, available_mib() - LEFT_FREE_MIB) // 2)


def available_mib() -> int:
    """Return the memory that this machine can give without swapping, as the kernel estimates it."""
    meminfo = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return int(meminfo["MemAvailable"].split()[0]) // 1024


def run(*argv: str) -> None:
    """Run a command that must succeed."""
    subprocess.run(argv, check=True)


def pin_this_process() -> None:
    """Lock our own code in memory. Otherwise a full node drops it first, and every step waits for the disk."""
    if ctypes.CDLL(None, use_errno=True).mlockall(MCL_CURRENT):
        raise OSError(ctypes.get_errno(), "mlockall")

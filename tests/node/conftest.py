# SPDX-License-Identifier: Apache-2.0
"""The guest's cgroups, processes and attached policy, each test with its own and nothing left behind."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.node import policy as attached
from tests.node.cgroup import Cgroup
from tests.node.hog import Hog, run_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.node.policy import Policy

SECONDS_PER_TEST = 300
"""A scan that never ends is a bug this suite looks for; under emulation the slowest test takes a tenth."""

MCL_CURRENT = 1
"""<sys/mman.h>"""

LEFT_FREE_MIB = 160
"""Left of the guest's memory for an OOM of the whole node, so that it is not minutes of page faults away."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if "OOMPOLICY_GUEST" in os.environ:
        return
    reason = "these tests take this machine's memory away: run them in a guest, with `make test-node`"
    for item in items:
        item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(autouse=True)
def more_time() -> Iterator[Callable[[], None]]:
    """The deadline; a test of many steps sets it anew for each of them."""

    def too_late(*_: object) -> None:
        raise TimeoutError(f"no end after {SECONDS_PER_TEST} s")

    def start() -> None:
        signal.alarm(SECONDS_PER_TEST)

    signal.signal(signal.SIGALRM, too_late)
    start()
    yield start
    signal.alarm(0)


class Node:
    """What a test builds on this machine, and takes away in the reverse order."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def cgroup(self, relative: str, **files: str | int) -> Cgroup:
        """A cgroup below the root; removed with all that is in it from its first new directory on."""
        top = Cgroup.make(relative.split("/", maxsplit=1)[0])
        self._stack.callback(top.remove)
        return Cgroup.make(relative, **files)

    def hog(self, cgroup: Cgroup | None, mib: int, **options: Any) -> Hog:  # noqa: ANN401 (what Hog takes)
        return self.adopt(Hog(cgroup, mib, **options))

    def adopt(self, hog: Hog) -> Hog:
        self._stack.callback(hog.end)
        return hog

    def sysctl(self, name: str, value: object) -> None:
        self.write("/proc/sys/" + name.replace(".", "/"), value)

    def write(self, path: str, value: object) -> None:
        """Change a file of the kernel's for this test."""
        before = Path(path).read_text()
        Path(path).write_text(str(value))
        self._stack.callback(Path(path).write_text, before)

    def affinity(self, cpus: set[int]) -> None:
        """Where this process runs, and all that it starts."""
        self._stack.callback(os.sched_setaffinity, 0, os.sched_getaffinity(0))
        os.sched_setaffinity(0, cpus)

    def fill(self) -> None:
        """Leave little free memory. Reserved huge pages are nobody's: no task can be killed for them."""
        # Else this process's own code is what the kernel drops first, and every step waits for the disk.
        if ctypes.CDLL(None, use_errno=True).mlockall(MCL_CURRENT):
            raise OSError(ctypes.get_errno(), "mlockall")
        meminfo = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
        available_kib = int(meminfo["MemAvailable"].split()[0])
        self.sysctl("vm.nr_hugepages", max(0, available_kib // 1024 - LEFT_FREE_MIB) // 2)


class Pod:
    """A pod's cgroup with a limit, a hog per container, and a trigger without an entry (host priority)."""

    def __init__(self, node: Node, limit_mib: int) -> None:
        self.node = node
        self.cgroup = node.cgroup("pod", memory__max=limit_mib << 20)
        self.hogs: list[Hog] = []

    def hog(self, name: str, mib: int, **options: Any) -> Hog:  # noqa: ANN401 (what Hog takes)
        hog = self.node.hog(self.cgroup.child(name), mib, **options)
        self.hogs.append(hog)
        return hog

    def run_out_of_memory(self) -> list[Hog]:
        """All that died, in the kernel's order."""
        trigger = self.node.hog(self.cgroup.child("trigger"), 0)
        dead = run_out_of_memory(trigger, self.hogs)
        trigger.end()
        self.hogs = [hog for hog in self.hogs if hog not in dead]
        return dead

    def first_victim(self) -> Hog:
        return self.run_out_of_memory()[0]


@pytest.fixture
def node() -> Iterator[Node]:
    with ExitStack() as stack:
        yield Node(stack)


@pytest.fixture
def pod(node: Node) -> Pod:
    """64 MiB: room for 12 and 34, and not for the 24 that the trigger takes next."""
    return Pod(node, 64)


@pytest.fixture
def policy() -> Iterator[Policy]:
    """Attached, without entries. Attaching takes seconds under emulation, so it is done when it is not so yet."""
    if not attached.is_attached():
        attached.attach()
    policy = attached.Policy()
    policy.clear()
    yield policy
    policy.close()


@pytest.fixture(scope="session", autouse=True)
def _started() -> None:
    print(f"kernel {os.uname().release}, up {time.clock_gettime(time.CLOCK_BOOTTIME):.0f} s")

# SPDX-License-Identifier: Apache-2.0
"""The processes of a node: sleepers in the containers of pods, and processes that are made to be killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.node.cgroup import Cgroup

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

PROGRAM: Final = Path(__file__).parents[1] / "build/benchmarks/crowd"

TASKS_PER_CONTAINER: Final = 10
CONTAINERS_PER_POD: Final = 2

PRIORITIES: Final = (200, 500, 800)
"""The built-in defaults of the three QoS classes, in turn. Each pod has the priority of a third of the others."""

SLEEPER_PAGES: Final = 24
"""A sleeper holds a random number of pages below this, as the processes of a node differ in size."""

VICTIM_PRIORITY: Final = 100
VICTIM_MIB: Final = 4
"""The memory of an intended victim. It is far more than a sleeper's, so that the kernel alone chooses it too."""


class Crowd:
    """The tree below kubepods.slice, with a priority for every slice, pod and container."""

    def __init__(self) -> None:
        self.top = Cgroup.make("kubepods.slice")
        self.containers: dict[int, int] = {}
        """The priority of each container by its cgroup id."""
        self.others: dict[int, int] = {self.top.id: PRIORITIES[0]}
        """The priority of each slice and pod by its cgroup id."""
        self._programs: list[subprocess.Popen[str]] = []
        self._victims = self._container(VICTIM_PRIORITY, "besteffort", "victims", "0")

    def grow_to(self, tasks: int) -> None:
        """Start sleepers until there are so many tasks."""
        present = len(self.containers) - 1
        wanted = tasks // TASKS_PER_CONTAINER
        new = [self._sleeper(number) for number in range(present, wanted)]
        self._programs.append(start(0, TASKS_PER_CONTAINER, new, variety=SLEEPER_PAGES))

    @contextlib.contextmanager
    def intended_victims(self, kills: int) -> Iterator[set[int]]:
        """Start processes to be killed, and yield their pids.

        There are a few more than `kills`, since a limit may kill one too many.
        """
        program = start(VICTIM_MIB << 10, kills + 3, [self._victims])
        try:
            yield set(self._victims.pids())
        finally:
            end(self._victims.pids())
            program.communicate()

    def _sleeper(self, number: int) -> Cgroup:
        pod = number // CONTAINERS_PER_POD
        return self._container(PRIORITIES[pod % len(PRIORITIES)], "burstable", f"{pod:08}", str(number))

    def _container(self, priority: int, qos: str, pod: str, name: str) -> Cgroup:
        container = Cgroup.make(
            f"kubepods.slice/kubepods-{qos}.slice/kubepods-{qos}-pod{pod}.slice/cri-containerd-{name}.scope"
        )
        self.containers[container.id] = priority
        pod_dir, qos_dir = container.path.parents[:2]
        self.others[pod_dir.stat().st_ino] = priority
        self.others[qos_dir.stat().st_ino] = PRIORITIES[0]
        return container


def start(kib: int, count: int, cgroups: Sequence[Cgroup], *, variety: int = 1) -> subprocess.Popen[str]:
    """Start `count` processes in each cgroup, and return when all hold their memory.

    Each holds `kib` KiB and up to `variety` - 1 pages more.
    """
    program = subprocess.Popen(
        [str(PROGRAM), str(kib), str(variety), str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert program.stdin  # noqa: S101 (for the type checker)
    assert program.stdout  # noqa: S101
    program.stdin.write("".join(f"{cgroup.path}\n" for cgroup in cgroups) + "\n")
    program.stdin.flush()
    if program.stdout.readline() != "ready\n":
        raise RuntimeError(f"{PROGRAM.name} ended with status {program.wait()}")
    return program


def end(pids: Sequence[int]) -> None:
    """Kill the processes, and wait for their end.

    This does not use cgroup.kill: on 6.12.107 it also kills a later clone3() into the same cgroup.
    """
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_for_end(pids)


def wait_for_end(pids: Iterable[int]) -> None:
    """Wait until the killed processes are gone, because a scan ends at a process that is still dying."""
    for pid in pids:
        while Path(f"/proc/{pid}").exists():
            time.sleep(0.01)

# SPDX-License-Identifier: Apache-2.0
"""A node's processes: containers in pods that only sleep, and those that are there to be killed."""

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
"""The built-in defaults of the three QoS classes, in turn: each pod ties with a third of the others."""

SLEEPER_PAGES: Final = 24
"""A sleeper holds fewer than so many pages beside its own few, at random: on a node no two processes are alike."""

SACRIFICE_PRIORITY: Final = 100
SACRIFICE_MIB: Final = 4
"""Far above a sleeper's, so that the kernel alone chooses no other."""


class Crowd:
    """The tree below kubepods.slice. Entries exist for every slice, pod and container."""

    def __init__(self) -> None:
        self.top = Cgroup.make("kubepods.slice")
        self.containers: dict[int, int] = {}
        """Priority by cgroup id."""
        self.others: dict[int, int] = {self.top.id: PRIORITIES[0]}
        """The same of slices and pods."""
        self._programs: list[subprocess.Popen[str]] = []
        self._victims = self._container(SACRIFICE_PRIORITY, "besteffort", "victims", "0")

    def grow_to(self, tasks: int) -> None:
        """Start what is missing."""
        present = len(self.containers) - 1
        wanted = tasks // TASKS_PER_CONTAINER
        new = [self._sleeper(number) for number in range(present, wanted)]
        self._programs.append(start(0, TASKS_PER_CONTAINER, new, variety=SLEEPER_PAGES))

    @contextlib.contextmanager
    def sacrifices(self, kills: int) -> Iterator[set[int]]:
        """Processes to be killed, by pid: a few more, since a limit may take one too many."""
        program = start(SACRIFICE_MIB << 10, kills + 3, [self._victims])
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
    """So many processes in each cgroup, with up to `variety` - 1 pages more; returns when all hold their memory."""
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
    """Kill and wait. Not with cgroup.kill: on 6.12.107 a later clone3() into such a cgroup is killed, too."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_for_end(pids)


def wait_for_end(pids: Iterable[int]) -> None:
    """Until the killed are gone: a scan that meets one of them ends there."""
    for pid in pids:
        while Path(f"/proc/{pid}").exists():
            time.sleep(0.01)

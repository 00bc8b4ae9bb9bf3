# SPDX-License-Identifier: Apache-2.0
"""The variants that are compared: the bare kernel, the hook alone, the RFC's sample, and oompolicy's program."""

from __future__ import annotations

import contextlib
import ctypes
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.samples import Answers
from benchmarks.stopwatch import load, unload
from oompolicy_agent.kernel.layout import Stat
from oompolicy_agent.kernel.libbpf import libbpf
from oompolicy_agent.kernel.maps import Map, PerCPUCounters, PriorityMap
from tests.node import policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from contextlib import AbstractContextManager

    from benchmarks.crowd import Crowd

SECONDS: Final = 30
"""The longest time until no program uses the module any more."""


class Policy:
    """The counters of oompolicy's program."""

    def __init__(self, stats: PerCPUCounters) -> None:
        self._stats = stats

    def counters(self) -> dict[Stat, int]:
        """Return all counters by name."""
        return {stat: self._stats.sum(stat) for stat in Stat}

    def answers(self, before: Mapping[Stat, int], tasks: int, scope: str, kills: int) -> Answers:
        """Return the calls and answers since `before`, divided by the kills.

        A scan that ends at a process that is still dying adds a few calls and no kill.
        """
        now = self.counters()
        each = [
            round((now[stat] - before[stat]) / kills)
            for stat in (Stat.EVALUATIONS, Stat.SELECT, Stat.NEXT, Stat.NO_POLICY)
        ]
        return Answers(tasks, scope, *each)


@dataclass(frozen=True)
class Variant:
    """A way to choose the victim, which is in effect within the context `attached`."""

    name: str
    attached: Callable[[Crowd], AbstractContextManager[Policy | None]]


@contextlib.contextmanager
def bare(_: Crowd) -> Iterator[None]:
    """Change nothing, and so measure the kernel as the distribution built it."""
    yield


@contextlib.contextmanager
def hook(_: Crowd) -> Iterator[None]:
    """Load the module, and attach no program to its hook."""
    subprocess.run(["insmod", policy.MODULE], check=True)
    yield
    deadline = time.monotonic() + SECONDS
    while subprocess.run(["rmmod", policy.MODULE.stem], capture_output=True, check=False).returncode:
        if time.monotonic() > deadline:
            raise RuntimeError(f"{policy.MODULE.stem} is still in use")
        time.sleep(0.1)


@contextlib.contextmanager
def sample(crowd: Crowd) -> Iterator[None]:
    """Attach the RFC's sample, written anew, with an entry for every container."""
    with hook(crowd):
        folder = load("sample")
        with Map(folder / "maps/leaf_priority") as leaves:
            for cgroup_id, priority in crowd.containers.items():
                key, value = ctypes.c_uint64(cgroup_id), ctypes.c_int32(priority)
                if libbpf().bpf_map_update_elem(leaves.fd, ctypes.byref(key), ctypes.byref(value), 0):
                    raise RuntimeError("the sample's map refuses an entry")
        yield
        unload(folder)


@contextlib.contextmanager
def ours(crowd: Crowd) -> Iterator[Policy]:
    """Attach oompolicy's program as the loader does, with an entry for every slice, pod and container."""
    policy.attach()
    with PriorityMap(policy.BPFFS / "maps/cgroup_priority") as entries:
        for cgroup_id, priority in (crowd.others | crowd.containers).items():
            entries.put(cgroup_id, priority, 0)
    with PerCPUCounters(policy.BPFFS / "maps/stats") as stats:
        yield Policy(stats)
    policy.detach()


VARIANTS: Final = (Variant("bare", bare), Variant("hook", hook), Variant("sample", sample), Variant("ours", ours))

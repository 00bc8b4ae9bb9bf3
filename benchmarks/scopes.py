# SPDX-License-Identifier: Apache-2.0
"""The two scans of the kernel: the tree of a cgroup at its limit, and the task list of the node."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from benchmarks.crowd import VICTIM_MIB, wait_for_end

if TYPE_CHECKING:
    from benchmarks.crowd import Crowd
    from benchmarks.stopwatch import Selection, Stopwatch

SECONDS: Final = 60
"""The longest time for the kills of one call. It is far more than they take."""


class Scope(Protocol):
    """A part of the node that runs out of memory."""

    name: str

    def kill(self, crowd: Crowd, stopwatch: Stopwatch, kills: int, /) -> list[Selection]:
        """Cause at least `kills` OOM kills, and return their selections."""
        ...


class Limit:
    """kubepods.slice at its limit. The kernel scans cgroup by cgroup, so tasks of one container follow each other."""

    name = "limit"

    def kill(self, crowd: Crowd, stopwatch: Stopwatch, kills: int) -> list[Selection]:
        """Lower the limit below the used memory. The kernel reclaims once, and then kills until the limit holds."""
        stopwatch.take()
        found: list[Selection] = []
        deadline = time.monotonic() + SECONDS
        while len(found) < kills and time.monotonic() < deadline:
            used = int((crowd.top.path / "memory.current").read_text())
            over = (kills - len(found) - 0.5) * VICTIM_MIB * 2**20
            crowd.top.write("memory.max", int(used - over))
            crowd.top.write("memory.max", "max")
            killed = stopwatch.take()
            wait_for_end(one.victim_tgid for one in killed)
            found += killed
        return checked(found, kills, in_limit=1)


class Node:
    """The whole node. In its task list, the order of creation, no task follows one of its own container."""

    name = "node"

    def kill(self, _: Crowd, stopwatch: Stopwatch, kills: int) -> list[Selection]:
        """Ask for an OOM kill by sysrq, which runs the same scan without filling the memory first."""
        stopwatch.take()
        found: list[Selection] = []
        deadline = time.monotonic() + SECONDS
        while len(found) < kills and time.monotonic() < deadline:
            Path("/proc/sysrq-trigger").write_text("f")
            killed = stopwatch.wait(SECONDS)
            wait_for_end(one.victim_tgid for one in killed)
            found += killed
        return checked(found, kills, in_limit=0)


def checked(found: list[Selection], kills: int, *, in_limit: int) -> list[Selection]:
    """Return the selections. RuntimeError: there are fewer than `kills`, or one is of the other scope."""
    if len(found) < kills or any(one.in_limit != in_limit for one in found):
        raise RuntimeError(f"wanted {kills} kills with in_limit={in_limit}, got {found}")
    return found


SCOPES: Final[tuple[Scope, ...]] = (Limit(), Node())

# SPDX-License-Identifier: Apache-2.0
"""The two ways in which the kernel scans: a cgroup by its tree, and the node by its task list."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from benchmarks.crowd import SACRIFICE_MIB, wait_for_end

if TYPE_CHECKING:
    from benchmarks.crowd import Crowd
    from benchmarks.stopwatch import Selection, Stopwatch

SECONDS: Final = 60
"""Far above what a kill takes; then something hangs."""


class Scope(Protocol):
    """What runs out of memory."""

    name: str

    def kill(self, crowd: Crowd, stopwatch: Stopwatch, kills: int, /) -> list[Selection]:
        """Let it happen at least so often."""
        ...


class Limit:
    """kubepods.slice at its limit: cgroup after cgroup, so tasks of one container follow each other."""

    name = "limit"

    def kill(self, crowd: Crowd, stopwatch: Stopwatch, kills: int) -> list[Selection]:
        """Lower the limit below what is used: the kernel reclaims once, and then kills as often as it takes."""
        stopwatch.take()
        found: list[Selection] = []
        deadline = time.monotonic() + SECONDS
        while len(found) < kills and time.monotonic() < deadline:
            used = int((crowd.top.path / "memory.current").read_text())
            over = (kills - len(found) - 0.5) * SACRIFICE_MIB * 2**20
            crowd.top.write("memory.max", int(used - over))
            crowd.top.write("memory.max", "max")
            killed = stopwatch.take()
            wait_for_end(one.victim_tgid for one in killed)
            found += killed
        return checked(found, kills, in_limit=1)


class Node:
    """The whole node: the task list in the order of creation, where no task follows one of its own container."""

    name = "node"

    def kill(self, _: Crowd, stopwatch: Stopwatch, kills: int) -> list[Selection]:
        """Ask for an OOM kill by sysrq: the same scan, without filling the memory first."""
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
    """What was found, if it is what was asked for."""
    if len(found) < kills or any(one.in_limit != in_limit for one in found):
        raise RuntimeError(f"wanted {kills} kills with in_limit={in_limit}, got {found}")
    return found


SCOPES: Final[tuple[Scope, ...]] = (Limit(), Node())

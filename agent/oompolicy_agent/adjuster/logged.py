# SPDX-License-Identifier: Apache-2.0
"""Follow the kernel's log at once after a kill in a pod, and find the places of processes at the last look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from oompolicy_agent.adjuster.killwatch import KillWatch
from oompolicy_agent.kernellog.follower import LogFollower, counted_kills
from oompolicy_agent.kernellog.handover import Place
from oompolicy_agent.plumbing.syslog import read_all

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from oompolicy_agent.adjuster.look import Look
    from oompolicy_agent.plumbing.loop import Loop

_PAUSE: Final = 0.1
"""Seconds between two wake-ups. A container that stays at its limit causes many without a kill."""


class LoggedKills:
    """The kills in the log of this node. `problem` is a sentence while the log cannot be followed, or empty."""

    def __init__(
        self,
        path: Path,
        boot_id: str,
        loop: Loop,
        *,
        read_log: Callable[[], bytes] = read_all,
        counted: Callable[[], int] = counted_kills,
    ) -> None:
        """`path` is the file for the agent."""
        self._loop = loop
        self._follower = LogFollower(path, boot_id, self._place, read_log=read_log, counted=counted)
        self._watch = KillWatch()
        self._wanted: bool | None = None
        self._armed = False
        self._now: Mapping[int, Place] = {}
        self._before: Mapping[int, Place] = {}

    @property
    def problem(self) -> str:
        """A sentence while the log cannot be followed, or an empty string."""
        return self._follower.problem

    def follow(self, *, wanted: bool) -> None:
        """Look for new kills if the log is wanted. Otherwise end that, and remove the file for the agent."""
        if wanted:
            self._wanted = True
            self._arm()
            self._follower.follow()
        elif self._wanted is not False:
            self._wanted = False
            self._disarm()
            self._watch.watch(())
            self._now = self._before = {}
            self._follower.end()

    def looked(self, found: Look) -> None:
        """Remember the places of all processes. A process that ended since the look before has its place from there."""
        if not self._wanted:
            return
        self._watch.watch(found.roots)
        groups = (*found.wanted, *found.others)
        places = {each.id.pid: Place(0, each.id.start) for each in found.host}
        places |= {each.id.pid: Place(group.cgroup, each.id.start) for group in groups for each in group.processes}
        self._before, self._now = self._now, places

    def close(self) -> None:
        """End the watch."""
        self._disarm()
        self._watch.close()

    def _place(self, pid: int) -> Place | None:
        return self._now.get(pid) or self._before.get(pid)

    def _arm(self) -> None:
        if not self._armed:
            self._armed = True
            self._watch.acknowledge()
            self._loop.watch(self._watch.fd, self._woken)

    def _disarm(self) -> None:
        if self._armed:
            self._armed = False
            self._loop.forget(self._watch.fd)

    def _woken(self) -> None:
        self._disarm()
        self._loop.after(_PAUSE, "kills", self._again)
        self._follower.follow()

    def _again(self) -> None:
        """Wait for the next event, and look for kills since the last one."""
        if self._wanted:
            self._arm()
            self._follower.follow()

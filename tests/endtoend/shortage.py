# SPDX-License-Identifier: Apache-2.0
"""Runs out of memory: one container, all pods together, or the guest. The kernel's log names the victims."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from tests.node.hog import Hog, oom_kills, run_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.endtoend.kubelet import NodeKubelet

ROOM_MIB: Final = 24
"""The memory that stays free before the shortage. With more, page faults would take minutes."""

NEVER: Final = -1000
"""The oom_score_adj of a process that the kernel never kills."""

Victim = dict[str, Any]


class Shortage:
    """A shortage of memory for the processes of the kubelet's containers."""

    def __init__(self, kubelet: NodeKubelet) -> None:
        self._kubelet = kubelet

    def overrun(self, uid: str, container: str, mib: int) -> list[Victim]:
        """Let a container's process exceed the container's limit."""
        hog = self._kubelet.hogs[uid, container]
        return self._as_victims([hog] if not hog.grow(mib) and hog.was_killed() else [])

    def exhaust_pods(self) -> list[Victim]:
        """Let a process outside the pods push all pods to the limit of kubepods."""
        kubepods = self._kubelet.kubepods
        current = int((kubepods.path / "memory.current").read_text())
        kubepods.write("memory.max", current + (ROOM_MIB << 20))
        trigger = Hog(kubepods.child("trigger"), 0)
        try:
            return self._exhaust(trigger)
        finally:
            trigger.end()
            kubepods.write("memory.max", "max")

    def exhaust_node(self, uid: str, container: str) -> list[Victim]:
        """Let a container's process take the guest's memory. A process that cannot be killed holds most of it."""
        filler = Hog(None, max(0, available_mib() - ROOM_MIB), adj=NEVER)
        try:
            return self._exhaust(self._kubelet.hogs[uid, container])
        finally:
            filler.end()

    def killed(self) -> int:
        """Return how many processes the kernel's OOM killer has killed since boot, by its own count."""
        return oom_kills()

    def _exhaust(self, trigger: Hog) -> list[Victim]:
        return self._as_victims(run_out_of_memory(trigger, [hog for hog in self._kubelet.hogs.values() if hog.alive]))

    def _as_victims(self, dead: Sequence[Hog]) -> list[Victim]:
        places = {hog.pid: place for place, hog in self._kubelet.hogs.items()}
        found = [(hog.pid, *places.get(hog.pid, ("", ""))) for hog in dead]
        return [{"pid": pid, "uid": uid, "container": container} for pid, uid, container in found]


def available_mib() -> int:
    """Return the kernel's estimate of the memory that is available without a kill."""
    meminfo = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    return int(meminfo["MemAvailable"].split()[0]) // 1024

# SPDX-License-Identifier: Apache-2.0
"""Open the loader's pins together, and notice when the loader has replaced them."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from oompolicy_agent.kernel.layout import Stat
from oompolicy_agent.kernel.maps import PerCPUCounters, PriorityMap, RingBuffer, SettingsMap

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NAMES: Final = ("cgroup_priority", "events", "cgroups", "stats", "settings")

Pinned = tuple[tuple[int, int], ...]


class OpenMaps:
    """The open maps of all pins. Raise OSError with the path of a pin that cannot be opened."""

    def __init__(self, folder: Path, on_victim: Callable[[bytes], None], on_cgroup: Callable[[bytes], None]) -> None:
        """Open the pins below `folder`, the loader's `maps`."""
        self._folder = folder
        self.pinned = identify(folder)
        with ExitStack() as stack:
            self.priorities = stack.enter_context(PriorityMap(folder / "cgroup_priority"))
            self.events = stack.enter_context(RingBuffer(folder / "events", on_victim))
            self.cgroups = stack.enter_context(RingBuffer(folder / "cgroups", on_cgroup))
            self.settings = stack.enter_context(SettingsMap(folder / "settings"))
            self.stats = stack.enter_context(PerCPUCounters(folder / "stats"))
            self._stack = stack.pop_all()

    @property
    def replaced(self) -> bool:
        """True if other pins have replaced the open ones. Raise OSError if the pins no longer exist."""
        return identify(self._folder) != self.pinned

    def counters(self) -> dict[Stat, int]:
        """Return the counters of the program, summed over the CPUs. An older program has fewer."""
        return {stat: self.stats.sum(stat) for stat in Stat if stat < self.stats.size}

    def close(self) -> None:
        """Close all maps."""
        self._stack.close()


def identify(folder: Path) -> Pinned:
    """Return device and inode of each pin. A new pin has a new inode."""
    return tuple((s.st_dev, s.st_ino) for s in ((folder / name).stat() for name in NAMES))

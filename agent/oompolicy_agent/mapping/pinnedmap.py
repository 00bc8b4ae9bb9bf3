# SPDX-License-Identifier: Apache-2.0
"""Keep the loader's pins open while they exist, and keep the map in the wanted state."""

from __future__ import annotations

import errno
import logging
from typing import TYPE_CHECKING

from oompolicy_agent.kernel.attachment import unprivileged_bpf_disabled
from oompolicy_agent.kernel.maps import PriorityMap
from oompolicy_agent.kernel.pins import OpenMaps
from oompolicy_agent.mapping.mapsync import MapSync
from oompolicy_agent.status.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from oompolicy_agent.kernel.layout import Stat
    from oompolicy_agent.mapping.desired import Value
    from oompolicy_agent.mapping.nodemode import SettingsPin
    from oompolicy_agent.plumbing.loop import Loop
    from oompolicy_agent.settings import Settings
    from oompolicy_agent.status.problems import Problems

log = logging.getLogger(__name__)


class PinnedMap:
    """The pinned maps. If they are absent, replaced or not accessible, that is a problem and no exception."""

    def __init__(
        self,
        settings: Settings,
        loop: Loop,
        problems: Problems,
        *,
        on_victim: Callable[[bytes], None],
        on_cgroup: Callable[[bytes], None],
        on_change: Callable[[], None],
    ) -> None:
        """`on_change` is called when missing pins appear, or when other pins replace them."""
        self._settings, self._loop, self._problems = settings, loop, problems
        self._on_victim, self._on_cgroup, self._on_change = on_victim, on_cgroup, on_change
        self._pins: OpenMaps | None = None
        self._map = MapSync()
        self.missing = 0
        self.needed = True
        """False if the node reports its victims without pins, so that missing pins are no problem."""
        self.forbidden = False
        """True while this kernel opens no map for this process, because it has no CAP_BPF."""

    @property
    def entries(self) -> int:
        """The number of entries in the map."""
        return self._map.entries

    def has(self, cgroup_id: int) -> bool:
        """Return True if the map has an entry of this cgroup."""
        return self._map.has(cgroup_id)

    @property
    def program_settings(self) -> SettingsPin | None:
        """The settings of the programs, or None while the pins are not open."""
        return self._pins.settings if self._pins else None

    def ensure(self) -> None:
        """Open the current pins. If that fails, set the problem and try again at the next tick."""
        try:
            if self._pins and self._pins.replaced:
                self.close()
            if self._pins is None:
                self._open()
        except OSError as error:
            self.close()
            self.forbidden = needs_cap_bpf(error)
            self._problems.set(Reason.PINS_MISSING, sentence(error) if self.needed else None)
            self._loop.after(self._settings.tick, "pins", self._try_again)
            return
        self.forbidden = False
        self._problems.set(Reason.PINS_MISSING)

    def reread(self) -> None:
        """Read the map again, because the kernel and the loader change it too."""
        try:
            if self._pins:
                self._map.reread(self._pins.priorities)
        except OSError as error:
            self._problems.set(Reason.MAP_NOT_WRITTEN, f"the map cannot be read: {error}")

    def held(self) -> dict[int, int]:
        """Return the priorities in the map of now by cgroup id. Any thread may call this. Raise OSError if that fails.

        It opens the pin anew, because the loop's thread can close the open one at any time.
        """
        with PriorityMap(self._settings.bpffs / "maps/cgroup_priority") as opened:
            return {cgroup_id: priority for cgroup_id, (priority, _) in opened.entries().items()}

    def write(self, wanted: Mapping[int, Value], *, keep: Collection[int], delete: bool) -> None:
        """Write the wanted entries. Entries of the cgroups `keep` stay, and without `delete` all others stay too."""
        if self._pins is None:
            return
        try:
            self.missing = self._map.apply(self._pins.priorities, wanted, keep=keep, delete=delete).missing
        except OSError as error:
            self._problems.set(Reason.MAP_NOT_WRITTEN, f"the map cannot be written: {error}")
            return
        self._problems.set(Reason.MAP_NOT_WRITTEN)
        self._problems.set(
            Reason.MAP_FULL, f"the map is full: {self.missing} entries are missing" if self.missing else None
        )

    def counters(self) -> dict[Stat, int]:
        """Return the program's counters, or nothing while the program does not exist."""
        try:
            return self._pins.counters() if self._pins else {}
        except OSError as error:
            log.warning("counters cannot be read: %s", error)
            return {}

    def drain(self) -> None:
        """Read all present records."""
        if self._pins:
            self._pins.cgroups.consume()
            self._pins.events.consume()

    def close(self) -> None:
        """Close the pins."""
        if self._pins:
            self.drain()
            for ring in (self._pins.events, self._pins.cgroups):
                self._loop.forget(ring.epoll_fd)
            self._pins.close()
            self._pins, self._map, self.missing = None, MapSync(), 0

    def _open(self) -> None:
        self._pins = OpenMaps(self._settings.bpffs / "maps", self._on_victim, self._on_cgroup)
        for ring in (self._pins.events, self._pins.cgroups):
            self._loop.watch(ring.epoll_fd, self.drain)

    def _try_again(self) -> None:
        self.ensure()
        if self._pins:
            self._on_change()


def needs_cap_bpf(error: OSError) -> bool:
    """Return True if the kernel refuses the pins to every process without CAP_BPF.

    Linux 5.19 moved the check behind the commands on existing maps: __sys_bpf() in kernel/bpf/syscall.c. The owner and
    the mode of a pin give EACCES.
    """
    return error.errno == errno.EPERM and bool(unprivileged_bpf_disabled())


def sentence(error: OSError) -> str:
    """Return one sentence about pins that cannot be opened."""
    if isinstance(error, FileNotFoundError):
        return f"the loader's pins are not there: no {error.filename}"
    if needs_cap_bpf(error):
        return (
            "this kernel opens BPF maps only for a process with CAP_BPF, because Linux is older than 5.19 and "
            f"kernel.unprivileged_bpf_disabled={unprivileged_bpf_disabled()}: "
            "this node reports no victim, and its programs get no priorities"
        )
    return f"the loader's pins cannot be opened: {error}"

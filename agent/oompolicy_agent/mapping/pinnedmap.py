# SPDX-License-Identifier: Apache-2.0
"""The agent's hold on the loader's pins: has them open while they are there, and keeps the map as desired."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from oompolicy_agent.kernel.pins import Pins
from oompolicy_agent.mapping.mapsync import MapSync
from oompolicy_agent.status.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from oompolicy_agent.kernel.layout import Stat
    from oompolicy_agent.mapping.desired import Value
    from oompolicy_agent.plumbing.loop import Loop
    from oompolicy_agent.settings import Settings
    from oompolicy_agent.status.problems import Problems

log = logging.getLogger(__name__)


class PinnedMap:
    """Pins that may be absent, replaced or closed to us: that is a problem with a name, never an exception."""

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
        """`on_change` is called when pins that were missing, or other ones, are there."""
        self._settings, self._loop, self._problems = settings, loop, problems
        self._on_victim, self._on_cgroup, self._on_change = on_victim, on_cgroup, on_change
        self._pins: Pins | None = None
        self._map = MapSync()
        self.missing = 0

    @property
    def entries(self) -> int:
        """How many the map has."""
        return self._map.entries

    def ensure(self) -> None:
        """Have the pins open that are there now, or say why not and try again at the next tick."""
        try:
            if self._pins and self._pins.replaced:
                self.close()
            if self._pins is None:
                self._open()
        except OSError as error:
            self.close()
            self._problems.set(Reason.PINS_MISSING, _sentence(error))
            self._loop.after(self._settings.tick, "pins", self._try_again)
            return
        self._problems.set(Reason.PINS_MISSING)

    def reread(self) -> None:
        """Look at the map anew: the kernel and the loader change it too."""
        try:
            if self._pins:
                self._map.reread(self._pins.priorities)
        except OSError as error:
            self._problems.set(Reason.MAP_NOT_WRITTEN, f"the map cannot be read: {error}")

    def write(self, wanted: Mapping[int, Value], *, keep: Collection[int], delete: bool) -> None:
        """Make the map what is wanted. Leave the entries of the cgroups `keep`, and without `delete` all others too."""
        if self._pins is None:
            return
        try:
            self.missing = self._map.apply(self._pins.priorities, wanted, keep=keep, delete=delete).missing
        except OSError as error:
            self._problems.set(Reason.MAP_NOT_WRITTEN, f"the map cannot be written: {error}")
            return
        self._problems.set(Reason.MAP_NOT_WRITTEN)
        self._problems.set(
            Reason.MAP_FULL, f"the map is full: {self.missing} entries are missing" if self.missing else ""
        )

    def counters(self) -> dict[Stat, int]:
        """The program's counters; none while it is not there."""
        try:
            return self._pins.counters() if self._pins else {}
        except OSError as error:
            log.warning("counters cannot be read: %s", error)
            return {}

    def drain(self) -> None:
        """Take all records that are there."""
        if self._pins:
            self._pins.cgroups.consume()
            self._pins.events.consume()

    def close(self) -> None:
        """Let go of the pins."""
        if self._pins:
            self.drain()
            for ring in (self._pins.events, self._pins.cgroups):
                self._loop.forget(ring.epoll_fd)
            self._pins.close()
            self._pins, self._map, self.missing = None, MapSync(), 0

    def _open(self) -> None:
        self._pins = Pins(self._settings.bpffs / "maps", self._on_victim, self._on_cgroup)
        for ring in (self._pins.events, self._pins.cgroups):
            self._loop.watch(ring.epoll_fd, self.drain)

    def _try_again(self) -> None:
        self.ensure()
        if self._pins:
            self._on_change()


def _sentence(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"the loader's pins are not there: no {error.filename}"
    return f"the loader's pins cannot be opened: {error}"

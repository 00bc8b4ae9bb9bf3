# SPDX-License-Identifier: Apache-2.0
"""Keep a snapshot of the cgroup tree, and scan again when the kernel's announcements require it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oompolicy_agent.kernel.layout import CgroupRecord
from oompolicy_agent.mapping.announced import PendingCgroups
from oompolicy_agent.mapping.cgroups import NotCgroup2Error, Tree, scan
from oompolicy_agent.status.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from oompolicy_agent.plumbing.loop import Loop
    from oompolicy_agent.settings import Settings
    from oompolicy_agent.status.problems import Problems


class TreeWatch:
    """The watch of the tree. `tree` is the last good snapshot, or None before the first."""

    def __init__(self, settings: Settings, loop: Loop, problems: Problems, on_scan: Callable[[], None]) -> None:
        """`on_scan` is called after each scan that an announcement required."""
        self._settings, self._loop, self._problems, self._on_scan = settings, loop, problems, on_scan
        self._pending = PendingCgroups()
        self._scanned_at = 0.0
        self.tree: Tree | None = None

    def scan(self, *, full: bool = False) -> bool:
        """Scan now. `full` also finds moved kubepods roots. Return False if the tree cannot be read."""
        try:
            roots = () if full or self.tree is None else self.tree.roots
            self.tree = scan(self._settings.cgroup_root, roots)
        except (NotCgroup2Error, OSError) as error:
            self._problems.set(Reason.CGROUPS_UNREADABLE, str(error))
            return False
        self._problems.set(Reason.CGROUPS_UNREADABLE)
        self._scanned_at = self._loop.clock()
        again = self._pending.scanned(self.tree, self._settings.scan_gap)
        if again is not None:
            self._loop.after(again, "scan", self._rescan)
        return True

    def announced(self, raw: bytes) -> None:
        """Take an announcement of the kernel about a new or removed cgroup."""
        if self._pending.receive(CgroupRecord.from_buffer_copy(raw)):
            since = self._loop.clock() - self._scanned_at
            self._loop.after(max(0.0, self._settings.scan_gap - since), "scan", self._rescan)

    def _rescan(self) -> None:
        if self.scan():
            self._on_scan()

# SPDX-License-Identifier: Apache-2.0
"""Decides, from the kernel's announcements of made and removed cgroups, when to scan the tree again. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from oompolicy_agent.layout import CgroupChange

if TYPE_CHECKING:
    from oompolicy_agent.cgroups import Tree
    from oompolicy_agent.layout import CgroupRecord

_TRIES: Final = 4


class Announced:
    """Cgroups that were announced and not yet seen in a scan.

    cgroup_mkdir() in kernel/cgroup/cgroup.c has its tracepoint before kernfs_activate(), which makes the
    directory visible: a scan may come too early and is repeated a few times then.
    """

    def __init__(self) -> None:
        """Nothing announced, nothing known: every announcement counts."""
        self._waiting: dict[int, int] = {}
        self._known: frozenset[int] = frozenset()

    def heard(self, record: CgroupRecord) -> bool:
        """Take one announcement; whether it asks for a scan. Most cgroups of a node have nothing to do with pods."""
        ours = not self._known or record.parent_id in self._known or record.parent_id in self._waiting
        if ours and record.change == CgroupChange.MKDIR:
            self._waiting[record.cgroup_id] = 0
        if record.change == CgroupChange.RMDIR:
            self._waiting.pop(record.cgroup_id, None)
        return ours

    def scanned(self, tree: Tree, gap: float) -> float | None:
        """Take the scan's result; in how many seconds to scan again for what was not there, or None."""
        self._known = tree.ids
        self._waiting = {
            cgroup_id: tries + 1
            for cgroup_id, tries in self._waiting.items()
            if cgroup_id not in self._known and tries < _TRIES
        }
        return min((gap * 2**tries for tries in self._waiting.values()), default=None)

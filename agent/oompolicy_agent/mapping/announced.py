# SPDX-License-Identifier: Apache-2.0
"""Decide from the kernel's announcements of new and removed cgroups when to scan the tree again. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from oompolicy_agent.kernel.layout import CgroupChange

if TYPE_CHECKING:
    from oompolicy_agent.kernel.layout import CgroupRecord
    from oompolicy_agent.mapping.cgroups import Tree

_TRIES: Final = 4


@dataclass(frozen=True, slots=True)
class _Waiting:
    """An announced cgroup. `below` is the number of levels below it that the agent needs."""

    below: int
    tries: int = 0


class PendingCgroups:
    """The cgroups that were announced and not yet found in a scan.

    cgroup_mkdir() in kernel/cgroup/cgroup.c has its tracepoint before kernfs_activate(), which makes the
    directory visible. A scan may come too early and is then repeated a few times.
    """

    def __init__(self) -> None:
        """Begin without a scan, so that every announcement counts."""
        self._waiting: dict[int, _Waiting] = {}
        self._parents: dict[int, int] = {}

    def receive(self, record: CgroupRecord) -> bool:
        """Take one announcement. Return True if it needs a scan.

        Most cgroups of a node have nothing to do with pods. Cgroups inside a container do not count either, because a
        process that creates them could make the agent scan without end.
        """
        below = self._below(record.parent_id)
        if below >= 0 and record.change == CgroupChange.MKDIR:
            self._waiting[record.cgroup_id] = _Waiting(below)
        if record.change == CgroupChange.RMDIR:
            self._waiting.pop(record.cgroup_id, None)
        return below >= 0

    def _below(self, parent_id: int) -> int:
        """Return the number of needed levels below a cgroup with this parent, negative if it is not needed."""
        if not self._parents:
            return 3
        if parent_id in self._waiting:
            return self._waiting[parent_id].below - 1
        return self._parents.get(parent_id, 0) - 1

    def scanned(self, tree: Tree, gap: float) -> float | None:
        """Take the result of a scan. Return the seconds until the next scan for missing cgroups, or None."""
        self._parents = _parents(tree)
        known = tree.ids
        self._waiting = {
            cgroup_id: replace(waiting, tries=waiting.tries + 1)
            for cgroup_id, waiting in self._waiting.items()
            if cgroup_id not in known and waiting.tries < _TRIES
        }
        return min((gap * 2**waiting.tries for waiting in self._waiting.values()), default=None)


def _parents(tree: Tree) -> dict[int, int]:
    """Return the cgroups in which pods and containers are created, with the number of levels below them.

    The levels are QoS classes, pods and containers, and one more, because the first child of a container may be
    announced before a scan finds the container.
    """
    slices = {each.id: 3 if each.qos else 4 for each in tree.slices}
    return slices | dict.fromkeys((pod.id for pod in tree.pods.values()), 2)

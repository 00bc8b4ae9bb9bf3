# SPDX-License-Identifier: Apache-2.0
"""Decides, from the kernel's announcements of made and removed cgroups, when to scan the tree again. Pure."""

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
    """An announced cgroup. `below`: how many levels of cgroups below it may be of use."""

    below: int
    tries: int = 0


class PendingCgroups:
    """Cgroups that were announced and not yet seen in a scan.

    cgroup_mkdir() in kernel/cgroup/cgroup.c has its tracepoint before kernfs_activate(), which makes the
    directory visible: a scan may come too early and is repeated a few times then.
    """

    def __init__(self) -> None:
        """Nothing announced, nothing known: every announcement counts."""
        self._waiting: dict[int, _Waiting] = {}
        self._parents: dict[int, int] = {}

    def heard(self, record: CgroupRecord) -> bool:
        """Take one announcement; True if it asks for a scan.

        Most cgroups of a node have nothing to do with pods. What is made in a container does not either, and whoever
        may make cgroups there would have the agent scan without end.
        """
        below = self._below(record.parent_id)
        if below >= 0 and record.change == CgroupChange.MKDIR:
            self._waiting[record.cgroup_id] = _Waiting(below)
        if record.change == CgroupChange.RMDIR:
            self._waiting.pop(record.cgroup_id, None)
        return below >= 0

    def _below(self, parent_id: int) -> int:
        """How many levels may be of use below a cgroup with this parent; negative if the cgroup itself is of none."""
        if not self._parents:
            return 3
        if parent_id in self._waiting:
            return self._waiting[parent_id].below - 1
        return self._parents.get(parent_id, 0) - 1

    def scanned(self, tree: Tree, gap: float) -> float | None:
        """Take the scan's result; in how many seconds to scan again for what was not there, or None."""
        self._parents = _parents(tree)
        known = tree.ids
        self._waiting = {
            cgroup_id: replace(waiting, tries=waiting.tries + 1)
            for cgroup_id, waiting in self._waiting.items()
            if cgroup_id not in known and waiting.tries < _TRIES
        }
        return min((gap * 2**waiting.tries for waiting in self._waiting.values()), default=None)


def _parents(tree: Tree) -> dict[int, int]:
    """The cgroups in which pods and containers are made, with the levels below them: QoS classes, pods, containers.

    One level more is granted: a container is waited for, and its first child may be announced, before a scan shows it.
    """
    slices = {each.id: 3 if each.qos else 4 for each in tree.slices}
    return slices | dict.fromkeys((pod.id for pod in tree.pods.values()), 2)

# SPDX-License-Identifier: Apache-2.0
"""Keep the entries of the pinned map as pods, policies and cgroups require them."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol

from oompolicy_agent.mapping.cgroups import Tree
from oompolicy_agent.mapping.claims import Settled, settle
from oompolicy_agent.mapping.desired import desired, kept, static_defaults, unclaimed
from oompolicy_agent.mapping.killgroups import kept_kill_groups, kill_groups
from oompolicy_agent.mapping.owners import OwnerFinder
from oompolicy_agent.mapping.pinnedmap import PinnedMap
from oompolicy_agent.mapping.strays import Strays, sentence
from oompolicy_agent.mapping.treewatch import TreeWatch
from oompolicy_agent.mapping.unapplied import Unapplied
from oompolicy_agent.mapping.unapplied import sentence as unapplied_sentence
from oompolicy_agent.status.reasons import Reason

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from oompolicy.model import Assignment, Defaults, Pod
    from oompolicy_agent.mapping.desired import Value
    from oompolicy_agent.mapping.owners import CgroupOwners
    from oompolicy_agent.plumbing.loop import Loop
    from oompolicy_agent.settings import Settings
    from oompolicy_agent.status.problems import Problems

log = logging.getLogger(__name__)


class AssignedPods(Protocol):
    """The interface of `objects.known.ResolvedPods` that the mapper needs."""

    @property
    def pods(self) -> tuple[Pod, ...]:
        """All pods of the node."""

    @property
    def assignments(self) -> tuple[Assignment, ...]:
        """The priority of each pod."""


class Mapper:
    """The way from pods and cgroups to the map. `settled` and `not_mapped` are the results of the last update.

    `entries` are the wanted entries of the map, also if there is no map, or None until the first good state.
    `kill_groups` are the values of memory.oom.group that the policies ask for, or None until then.
    `pinned` is the map, with the other maps that the loader pinned.
    """

    def __init__(
        self,
        settings: Settings,
        loop: Loop,
        problems: Problems,
        known: Callable[[], AssignedPods | None],
        owners: CgroupOwners,
        *,
        defaults: Callable[[], Defaults],
        on_victim: Callable[[bytes], None],
        on_pins: Callable[[], None],
        on_cgroups: Callable[[], None],
        on_owners: Callable[[], None],
        on_update: Callable[[], None],
    ) -> None:
        """Open nothing yet.

        `known` returns the last good state, or None before the first. `defaults` returns the priorities of pods without
        a policy.

        An update keeps `owners` up to date. `on_victim` gets each victim's record, and `on_pins` is called when pins
        appear or are replaced. After an update, `on_owners` is called if the owners changed, `on_update` always, and
        `on_cgroups` if an announced cgroup caused the update.
        """
        self._settings, self._loop, self._problems, self._known = settings, loop, problems, known
        self._defaults = defaults
        self._owners, self._finder = owners, OwnerFinder()
        self._on_cgroups, self._on_owners, self._on_update = on_cgroups, on_owners, on_update
        self._tree = TreeWatch(settings, loop, problems, self._tree_changed)
        self._strays = Strays(settings.strays_after)
        self.pinned = PinnedMap(
            settings, loop, problems, on_victim=on_victim, on_cgroup=self._tree.announced, on_change=on_pins
        )
        self.settled = Settled()
        self.not_mapped: tuple[Pod, ...] = ()
        self.entries: Mapping[int, Value] | None = None
        self.kill_groups: Mapping[int, bool] | None = None
        self._unapplied = Unapplied(settings.unapplied_after)

    @property
    def tree(self) -> Tree | None:
        """The last snapshot of the cgroup tree, or None before the first."""
        return self._tree.tree

    def reread(self) -> None:
        """Open the current pins, and read the map again."""
        self.pinned.ensure()
        self.pinned.reread()

    def rescan(self) -> None:
        """Scan the whole tree, and update the map unless the tree cannot be read."""
        if self._tree.scan(full=True):
            self.update()

    def update(self) -> None:
        """Update the map and the owners to match pods and cgroups. Do nothing before the first scan."""
        tree = self._tree.tree
        if tree is None:
            return
        known, defaults = self._known(), self._defaults()
        pods, assignments = (known.pods, known.assignments) if known else ((), ())
        self.settled = settled = settle(pods, assignments, tree, self._owners.get, defaults)
        wanted = desired(settled.assignments, settled.pods, tree, defaults)
        owners = self._finder.of(tree, settled.pods, settled.assignments, defaults)
        changed = self._owners.update(owners, self._loop.clock())
        alone = unclaimed(tree, settled.pods)
        static = static_defaults(tree, settled.pods, defaults)
        if known is None:
            static = {cgroup: value for cgroup, value in static.items() if not self.pinned.has(cgroup)}
        entries = {**wanted.entries, **static, **kept(alone, self._owners.get)}
        if known is not None:
            self.entries = entries
            kept_groups = kept_kill_groups(tree, settled.pods, self._owners.get)
            self.kill_groups = {**kill_groups(settled.assignments, tree), **kept_groups}
        # Before the first good state the loader's entries, from the checkpoint, are better than none.
        self.pinned.write(entries, keep=alone, delete=known is not None)
        self._set_not_mapped(wanted.not_mapped, tree)
        if changed:
            self._on_owners()
        self._on_update()

    def check_kill_scopes(self, *, enforced: bool) -> None:
        """Compare memory.oom.group on the node with the kill scopes, which apply only if they are `enforced`."""
        assignments = self.settled.assignments if enforced else ()
        found = self._unapplied.find(assignments, self._tree.tree or Tree(0), self._loop.clock())
        self._problems.set(Reason.KILL_SCOPE_NOT_APPLIED, unapplied_sentence(found))

    def _tree_changed(self) -> None:
        self.update()
        self._on_cgroups()

    def _set_not_mapped(self, without_cgroup: tuple[Pod, ...], tree: Tree) -> None:
        """Update the pods that are not mapped, including pods whose cgroup exists and is empty."""
        live, waiting = _live(self.settled.pods), _live(self.settled.waiting)
        strays = self._strays.find(live, tree, self._loop.clock())
        if strays.wait is not None:
            self._loop.after(strays.wait, "strays", self.update)
        self._problems.set(Reason.CGROUP_DRIVERS_DIFFER, sentence(strays.pods))
        before = self.not_mapped
        self.not_mapped = (*without_cgroup, *strays.pods, *waiting)
        _log_mapping((*live, *waiting), before, self.not_mapped, {pod.uid for pod in strays.pods})


def _live(pods: tuple[Pod, ...]) -> tuple[Pod, ...]:
    return tuple(pod for pod in pods if not pod.finished)


def _log_mapping(pods: tuple[Pod, ...], before: tuple[Pod, ...], now: tuple[Pod, ...], strays: set[str]) -> None:
    present, uids_before, uids_now = ({pod.uid for pod in each} for each in (pods, before, now))
    for pod in now:
        if pod.uid not in uids_before:
            why = "its containers run outside of its cgroup" if pod.uid in strays else "it has no cgroup yet"
            log.info("pod %s/%s is not mapped: %s", pod.namespace, pod.name, why)
    for pod in before:
        if pod.uid in present and pod.uid not in uids_now:
            log.info("pod %s/%s is mapped", pod.namespace, pod.name)

# SPDX-License-Identifier: Apache-2.0
"""Connect the parts of the agent: objects and cgroups become entries of the pinned map, and victims become reports."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from oompolicy_agent.keeper import CheckpointKeeper
from oompolicy_agent.kernel import attachment
from oompolicy_agent.mapping.claims import Settled, settle
from oompolicy_agent.mapping.desired import Desired, desired, kept, unclaimed
from oompolicy_agent.mapping.owners import CgroupOwners, OwnerFinder
from oompolicy_agent.mapping.pinnedmap import PinnedMap
from oompolicy_agent.mapping.strays import Strays, sentence
from oompolicy_agent.mapping.treewatch import TreeWatch
from oompolicy_agent.plumbing.folderwatch import FolderWatch
from oompolicy_agent.status import document
from oompolicy_agent.status.reasons import Reason
from oompolicy_agent.victims.reporter import Reporter
from oompolicy_agent.victims.spool import Spool

if TYPE_CHECKING:
    from oompolicy.model import Pod
    from oompolicy_agent.environment import Environment
    from oompolicy_agent.mapping.cgroups import Tree
    from oompolicy_agent.plumbing.loop import Loop
    from oompolicy_agent.settings import Settings
    from oompolicy_agent.status.counters import Counters
    from oompolicy_agent.status.problems import Problems

log = logging.getLogger(__name__)


class Agent:
    """The part of the agent that runs in the loop's thread. Other threads may read its public attributes."""

    def __init__(
        self, settings: Settings, loop: Loop, boot_id: str, outside: Environment, *, problems: Problems, tally: Counters
    ) -> None:
        """Open everything that needs no loader. A state directory that cannot be used is a problem, and no error."""
        self._settings, self._loop, self._boot_id = settings, loop, boot_id
        self.problems, self.tally = problems, tally
        self.followed, self.dead_threads = outside.followed, outside.dead_threads
        self._outside, self._source = outside, outside.source
        self._reports = FolderWatch(settings.run_dir, only="loader.json")
        self._spool = Spool(settings.spool, boot_id)
        self._index = CgroupOwners()
        self._owners = OwnerFinder()
        self._reporter = Reporter(settings, boot_id, self._spool, self._index, outside.target, tally=tally)
        self._tree = TreeWatch(settings, loop, problems, self._tree_changed)
        self._kernel = PinnedMap(
            settings,
            loop,
            self.problems,
            on_victim=self._on_victim,
            on_cgroup=self._tree.announced,
            on_change=self.full_check,
        )
        self._settled, self._desired = Settled(), Desired()
        self._strays = Strays(settings.strays_after)
        self._not_mapped: tuple[Pod, ...] = ()
        self._attachment = attachment.read_attachment(settings.run_dir, settings.bpffs, boot_id)
        self._status: dict[str, Any] = {}
        self._keeper = CheckpointKeeper(
            settings=settings,
            loop=loop,
            problems=problems,
            boot_id=boot_id,
            outside=outside,
            spool=self._spool,
            index=self._index,
        )
        self.view = self._view()

    def start(self) -> None:
        """Take over the state of an earlier agent, check everything, and react to events from then on."""
        self._keeper.restore()
        self._source.start()
        self._loop.watch(self._source.fd, self._source_changed)
        self._loop.watch(self._reports.fd, self._report_changed)
        if self._outside.target.fd >= 0:
            self._loop.watch(self._outside.target.fd, self._report)
        self.full_check()

    def stop(self) -> None:
        """Save the state, so that the next agent continues from here."""
        self._kernel.drain()
        self._spool.retry_held()
        self._keeper.save()
        self._write_status()
        self._kernel.close()
        for fd in (self._source.fd, self._reports.fd, self._outside.target.fd):
            self._loop.forget(fd)
        self._outside.close()
        self._reports.close()

    def full_check(self) -> None:
        """Read everything again. This repairs the effect of any lost event."""
        self._loop.after(self._settings.full_check, "full check", self.full_check)
        self._look_at_source()
        self._reports.renew()
        self.problems.set(Reason.FOLDER_NOT_WATCHED, self._reports.problem, self._source.unwatched)
        self._kernel.ensure()
        self._kernel.reread()
        self._look_at_node()
        if self._tree.scan(full=True):
            self._act()
        self._kernel.drain()
        self._report()
        if self._keeper.unsaved:
            self._keeper.save()
        self._write_status()

    # Look.

    def _source_changed(self) -> None:
        if self._source.changed():
            self._loop.after(self._source.settle, "source", self._reload)

    def _reload(self) -> None:
        since = self._source.since
        if self._source.reload():
            self._act()
            if since is not None and not self.problems.current.get(Reason.MAP_NOT_WRITTEN):
                self.tally.change_lag.add(self._loop.clock() - since)
            self._keeper.save_later()
            self._report()
        self._touch()

    def _look_at_source(self) -> None:
        """Poll the source once a second during an outage, because no event reports that it continues."""
        before = self.problems.current
        if self._source.poll():
            self._source.reload()
        if any(self.problems.current.get(reason) for reason in document.SILENCE):
            self._loop.after(self._settings.tick, "look at source", self._look_at_source)
        if self.problems.current is not before:
            self._touch()

    def _report_changed(self) -> None:
        """React to a new report of the loader, which may have replaced the pins."""
        if self._reports.changed():
            self._loop.after(self._settings.settle, "full check", self.full_check)

    def _look_at_node(self) -> None:
        self._attachment = attachment.read_attachment(self._settings.run_dir, self._settings.bpffs, self._boot_id)
        self.problems.set(Reason.NOT_ATTACHED, self._attachment.problem)
        self.problems.set(Reason.BYPASSED, *document.warnings(self._attachment, self._kernel.counters()))

    def _tree_changed(self) -> None:
        self._act()
        self._report()

    # Decide and act.

    def _act(self) -> None:
        """Update the map and the owners to match objects and cgroups."""
        tree = self._tree.tree
        if tree is None:
            return
        known, defaults = self._source.known, self._settings.defaults
        pods, assignments = (known.pods, known.assignments) if known else ((), ())
        self._settled = settled = settle(pods, assignments, tree, self._index.get, defaults)
        self._desired = desired(settled.assignments, settled.pods, tree, defaults)
        owners = self._owners.of(tree, settled.pods, settled.assignments, defaults)
        changed = self._index.update(owners, self._loop.clock())
        alone = unclaimed(tree, settled.pods)
        entries = {**self._desired.entries, **kept(alone, self._index.get)}
        # Before the first good state the loader's entries, from the checkpoint, are better than none.
        self._kernel.write(entries, keep=alone, delete=known is not None)
        self._look_for_strays(tree)
        if changed:
            self._keeper.save_later()
        self._touch()

    def _look_for_strays(self, tree: Tree) -> None:
        """Report the pods that are not mapped, including pods whose cgroup exists and is empty."""
        live, waiting = _live(self._settled.pods), _live(self._settled.waiting)
        strays = self._strays.look(live, tree, self._loop.clock())
        if strays.wait is not None:
            self._loop.after(strays.wait, "strays", self._act)
        self.problems.set(Reason.CGROUP_DRIVERS_DIFFER, sentence(strays.pods))
        before = self._not_mapped
        self._not_mapped = (*self._desired.not_mapped, *strays.pods, *waiting)
        _log_mapping((*live, *waiting), before, self._not_mapped, {pod.uid for pod in strays.pods})

    # Victims.

    def _on_victim(self, raw: bytes) -> None:
        try:
            name = self._spool.add(raw)
        except (ValueError, OverflowError) as error:
            log.error("a record cannot be used: %s", error)  # noqa: TRY400 (no traceback: the sentence says it all)
            return
        if name:
            self._reporter.arrived(name, self._loop.clock())
            self._loop.after(0, "report", self._report)

    # What is told to others.

    def _report(self) -> None:
        before = self._spool.reported, self._outside.reported_refusals, self.problems.current
        known, now = self._source.known, self._loop.clock()
        pods_for_naming = tuple(pod for pod in self._source.pods_for_naming if pod.uid not in self._settled.refused)
        waits = [self._reporter.run(pods_for_naming, now, incomplete=self._source.incomplete)]
        if known and not self._source.incomplete:
            waits.append(self._outside.report_refusals(self._settled.told, now))
        for wait in waits:
            if wait is not None:
                self._loop.after(wait, "report", self._report)
        self.problems.set(Reason.EVENTS_NOT_DELIVERED, self._outside.target.problem)
        self.problems.set(Reason.SPOOL_NOT_WRITTEN, self._spool.problem)
        self.problems.set(Reason.OOMNODE_NOT_WRITTEN, self._outside.problem)
        if (self._spool.reported, self._outside.reported_refusals) != before[:2]:
            self._keeper.save_later()
        if (self._spool.reported, self._outside.reported_refusals, self.problems.current) != before:
            self._touch()

    def _touch(self) -> None:
        self._loop.after(self._settings.status_delay, "status", self._write_status)

    def _write_status(self) -> None:
        self.view = self._view()
        self._status = document.build(self.view, self._status, datetime.now(UTC))
        self._outside.publish(self._status)
        try:
            document.write(self._settings.run_dir / "status.json", self._status)
        except OSError as error:
            self.problems.set(Reason.STATUS_NOT_WRITTEN, f"the status cannot be written: {error}")
            return
        self.problems.set(Reason.STATUS_NOT_WRITTEN)

    def _view(self) -> document.View:
        known = self._source.known
        return document.View(
            attachment=self._attachment,
            policy_hash=known.policy_hash if known else "",
            pods=(*self._settled.pods, *self._settled.waiting),
            not_mapped=self._not_mapped,
            entries=self._kernel.entries,
            entries_missing=self._kernel.missing,
            counters=self._kernel.counters(),
            spooled=len(self._spool.pending),
            spool_dropped=self._spool.dropped,
            problems=self.problems.current,
            assignments=self._settled.told,
            claims_refused=len(self._settled.refused),
            last_victims=tuple(self._reporter.last),
        )


def _live(pods: tuple[Pod, ...]) -> tuple[Pod, ...]:
    return tuple(pod for pod in pods if not pod.finished)


def _log_mapping(pods: tuple[Pod, ...], before: tuple[Pod, ...], now: tuple[Pod, ...], strays: set[str]) -> None:
    there, uids_before, uids_now = ({pod.uid for pod in each} for each in (pods, before, now))
    for pod in now:
        if pod.uid not in uids_before:
            why = "its containers run outside of its cgroup" if pod.uid in strays else "it has no cgroup yet"
            log.info("pod %s/%s is not mapped: %s", pod.namespace, pod.name, why)
    for pod in before:
        if pod.uid in there and pod.uid not in uids_now:
            log.info("pod %s/%s is mapped", pod.namespace, pod.name)

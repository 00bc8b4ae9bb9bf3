# SPDX-License-Identifier: Apache-2.0
"""Connect the parts of the agent: objects and cgroups become entries of the pinned map, and victims become reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oompolicy.oomsettings import Mode, ProgramSettings
from oompolicy_agent.keeper import CheckpointKeeper
from oompolicy_agent.kernel.attachment import read_attachment
from oompolicy_agent.kernel.backend import Backend
from oompolicy_agent.mapping.circuit import Circuit
from oompolicy_agent.mapping.mapper import Mapper
from oompolicy_agent.mapping.nodemode import NodeMode
from oompolicy_agent.mapping.owners import CgroupOwners
from oompolicy_agent.order.collect import State
from oompolicy_agent.order.held import in_map, in_scores
from oompolicy_agent.plumbing.clock import boot_clock
from oompolicy_agent.plumbing.folderwatch import FolderWatch
from oompolicy_agent.scores.follower import ScoresFollower
from oompolicy_agent.scores.kernellog import KernelLog
from oompolicy_agent.status.document import SILENCE, View, warnings
from oompolicy_agent.status.reasons import Reason
from oompolicy_agent.status.statusfile import StatusFile
from oompolicy_agent.victims.logged import located
from oompolicy_agent.victims.policykills import policy_kill_ns
from oompolicy_agent.victims.reporter import Reporter
from oompolicy_agent.victims.spool import Spool
from oompolicy_agent.victims.spooled import realtime_offset_ns

if TYPE_CHECKING:
    from oompolicy_agent.environment import Environment
    from oompolicy_agent.plumbing.loop import Loop
    from oompolicy_agent.settings import Settings
    from oompolicy_agent.status.counters import Counters
    from oompolicy_agent.status.problems import Problems
    from oompolicy_agent.victims.record import Victim


class Agent:
    """The part of the agent that runs in the loop's thread. Other threads may read its public attributes."""

    def __init__(
        self,
        settings: Settings,
        loop: Loop,
        boot_id: str,
        outside: Environment,
        *,
        problems: Problems,
        counters: Counters,
    ) -> None:
        """Open everything that needs no loader. A state directory that cannot be used is a problem, and no error."""
        self._settings, self._loop, self._boot_id = settings, loop, boot_id
        self.problems, self.counters = problems, counters
        self.followed, self.dead_threads = outside.followed, outside.dead_threads
        self._outside, self._source = outside, outside.source
        self._loader_report = FolderWatch(settings.run_dir, only="loader.json")
        self._spool, self._owners = Spool(settings.spool, boot_id), CgroupOwners()
        self._mode, self._circuit = NodeMode(problems), Circuit(realtime_offset_ns)
        self._scores = ScoresFollower(settings, boot_id, self._owners, problems, counters)
        self._kernel_log = KernelLog(settings, boot_id, problems)
        self._reporter = Reporter(
            settings,
            boot_id,
            self._spool,
            self._owners,
            outside.target,
            counters=counters,
            discloses=lambda: outside.source.discloses,
            verdict=self._scores.verdict,
            locate=self._locate,
        )
        self._keeper = CheckpointKeeper(
            settings=settings,
            loop=loop,
            problems=problems,
            boot_id=boot_id,
            outside=outside,
            spool=self._spool,
            index=self._owners,
            mode=self._mode,
            circuit=self._circuit,
        )
        self._mapper = Mapper(
            settings,
            loop,
            problems,
            lambda: self._source.known,
            self._owners,
            defaults=lambda: self._source.defaults,
            on_victim=self._on_victim,
            on_pins=self.full_check,
            on_cgroups=self._report,
            on_owners=self._keeper.save_later,
            on_update=self._on_update,
        )
        self._attachment = read_attachment(settings.run_dir, settings.bpffs, boot_id)
        self._status = StatusFile(settings, loop, problems, self._view, outside.publish)

    @property
    def view(self) -> View:
        """The facts of the last status."""
        return self._status.view

    @property
    def order_state(self) -> State | None:
        """The facts about the containers of the node, or None before the cgroup tree was read."""
        tree = self._mapper.tree
        if tree is None:
            return None
        scores = self._scores.state
        return State(
            node=self._settings.node,
            mode=self._scores.mode if scores else self._mode.current,
            backend=Backend.OOM_SCORE_ADJ if scores else self._attachment.backend,
            enforcing=scores.in_force if scores else self._attachment.enforcing,
            program=self._source.wanted or ProgramSettings(self._mode.current or Mode.OFF),
            host_priority=self._mode.host_priority,
            tree=tree,
            pods=self._mapper.settled.pods,
            owners=self._owners,
            margins=scores.order.margins if scores else {},
            held=in_scores(scores) if self._scores.asked else in_map(self._mapper.pinned.held),
        )

    def start(self) -> None:
        """Take over the state of an earlier agent, check everything, and react to events from then on."""
        self._keeper.restore()
        self._source.start()
        self._loop.watch(self._source.fd, self._source_changed)
        self._loop.watch(self._loader_report.fd, self._loader_report_changed)
        if self._outside.target.fd >= 0:
            self._loop.watch(self._outside.target.fd, self._report)
        # First of all, because missing pins are no problem while the adjuster follows the kernel's log.
        self._read_attachment()
        self.full_check()

    def stop(self) -> None:
        """Save the state, so that the next agent continues from here."""
        self._mapper.pinned.drain()
        self._spool.retry_held()
        self._keeper.save()
        self._status.write()
        self._mapper.pinned.close()
        for fd in (self._source.fd, self._loader_report.fd, self._outside.target.fd):
            self._loop.forget(fd)
        self._outside.close()
        self._loader_report.close()

    def full_check(self) -> None:
        """Read everything again. This repairs the effect of any lost event."""
        self._loop.after(self._settings.full_check, "full check", self.full_check)
        self._loop.after(self._settings.adjuster_poll, "adjuster's report", self._poll_adjuster)
        self._poll_source()
        self._loader_report.renew()
        self.problems.set(Reason.FOLDER_NOT_WATCHED, self._loader_report.problem, self._source.unwatched)
        self._mapper.reread()
        self._apply_mode()
        self._read_attachment()
        self._mapper.rescan()
        self._take_kills()
        self._ask_for_scores(again=True)
        self._mapper.check_kill_scopes(enforced=self._scores.mode is Mode.ENFORCE)
        self._mapper.pinned.drain()
        self._report()
        if self._keeper.unsaved:
            self._keeper.save()
        self._status.write()

    def _source_changed(self) -> None:
        if self._source.changed():
            self._loop.after(self._source.settle, "source", self._reload)

    def _reload(self) -> None:
        since = self._source.since
        reloaded = self._source.reload()
        # The mode is first, because Off is the kill switch.
        self._apply_mode()
        if reloaded:
            self._mapper.update()
            # Not before, because an agent that is ready has the priorities of its pods in the map.
            self.problems.set(Reason.NOT_SYNCED)
            if since is not None and not self.problems.current.get(Reason.MAP_NOT_WRITTEN):
                self.counters.change_lag.add(self._loop.clock() - since)
            self._keeper.save_later()
            self._report()
        self._status.write_later()

    def _apply_mode(self) -> None:
        closes = self._circuit.settle(self._source.max_kills, boot_clock())
        if closes is not None:
            self._loop.after(closes, "circuit", self._apply_mode)
        if opening := self._circuit.opening:
            self._outside.report_circuit(opening.at_ns, self._circuit.sentence)
        programs, wanted = self._mapper.pinned.program_settings, self._source.wanted
        is_open = self._circuit.opening is not None
        changed = self._mode.apply(programs, wanted, circuit_open=is_open)
        if programs is None and self._scores.asked:
            changed |= self._mode.apply_without_programs(wanted, circuit_open=is_open)
        self._ask_for_scores()
        if changed:
            # At once: after a crash of the node, the loader begins with the mode in the checkpoint.
            self._keeper.save()
            self._status.write_later()

    def _on_update(self) -> None:
        self._ask_for_scores()
        self._status.write_later()

    def _ask_for_scores(self, *, again: bool = False) -> None:
        """Write the request to the adjuster if it changed, with the mode of OOMSettings, or else of the programs."""
        known, unknown = (
            self._circuit.limit(self._source.wanted),
            Mode.ENFORCE if self._settings.manifests else Mode.OFF,
        )
        self._scores.request(
            self._attachment,
            known.mode if known else self._mode.current or unknown,
            known.host_priority if known else self._mode.host_priority,
            self._mapper.entries,
            kill_groups=self._mapper.kill_groups,
            kernel_log=self._kernel_log.asked,
            again=again,
        )

    def _poll_adjuster(self) -> None:
        self._loop.after(self._settings.adjuster_poll, "adjuster's report", self._poll_adjuster)
        if any((self._look_at_log(), self._scores.look())):
            self._status.write_later()

    def _look_at_log(self) -> bool:
        """Read if the adjuster follows the kernel's log. Return True if that changed."""
        before = self._kernel_log.works
        self._kernel_log.look(boot_clock())
        works = self._kernel_log.works
        self._mapper.pinned.needed = not works
        if works != before:
            self._read_problems()
            self._mapper.pinned.ensure()
        return works != before

    def _poll_kills(self) -> None:
        if self._kernel_log.asked:
            self._loop.after(self._settings.kills_poll, "kills", self._poll_kills)
            self._take_kills()

    def _take_kills(self) -> None:
        if self._kernel_log.take(self._on_logged_victim):
            self._loop.after(0, "report", self._report)
            self._status.write_later()

    def _on_logged_victim(self, raw: bytes) -> None:
        victim = self._reporter.receive(raw, self._loop.clock(), logged=True)
        if victim:
            self._count_kill(victim)

    def _poll_source(self) -> None:
        """Poll the source once a second during an outage, because no event reports that it continues."""
        before = self.problems.current
        if self._source.poll():
            self._source.reload()
        if any(self.problems.current.get(reason) for reason in SILENCE):
            self._loop.after(self._settings.tick, "poll source", self._poll_source)
        if self.problems.current is not before:
            self._status.write_later()

    def _loader_report_changed(self) -> None:
        """React to a new report of the loader, which may have replaced the pins."""
        if self._loader_report.changed():
            self._loop.after(self._settings.settle, "full check", self.full_check)

    def _read_attachment(self) -> None:
        self._take_kills()  # the last ones, if a program has taken over
        self._attachment = read_attachment(self._settings.run_dir, self._settings.bpffs, self._boot_id)
        self._kernel_log.judge(self._attachment, forbidden=self._mapper.pinned.forbidden)
        self._look_at_log()
        self._read_problems()
        self._loop.after(self._settings.kills_poll, "kills", self._poll_kills)

    def _read_problems(self) -> None:
        self.problems.set(Reason.NOT_ATTACHED, None if self._kernel_log.works else self._attachment.problem)
        self.problems.set(Reason.BYPASSED, *warnings(self._attachment, self._mapper.pinned.counters()))

    def _locate(self, victim: Victim) -> Victim:
        return located(victim, self._owners, str(self._settings.cgroup_root), self._mode.host_priority)

    def _on_victim(self, raw: bytes) -> None:
        victim = self._reporter.receive(raw, self._loop.clock())
        if victim:
            self._kernel_log.recorded(victim)
            self._count_kill(victim)
            self._loop.after(0, "report", self._report)

    def _count_kill(self, victim: Victim) -> None:
        by_scores = self._scores.mode if self._scores.asked else None
        kill_ns = policy_kill_ns(victim, self._owners, by_scores)
        if kill_ns is None:
            return
        if self._circuit.count(kill_ns, self._source.max_kills):
            self._apply_mode()
        self._keeper.save_later()

    def _report(self) -> None:
        """Report victims and refused annotations, and update the problems of reporting."""
        before = self._spool.reported, self._outside.reported_refusals, self.problems.current
        known, now, settled = self._source.known, self._loop.clock(), self._mapper.settled
        pods_for_naming = tuple(pod for pod in self._source.pods_for_naming if pod.uid not in settled.refused)
        waits = [self._reporter.run(pods_for_naming, now, incomplete=self._source.incomplete)]
        if known and not self._source.incomplete:
            waits.append(self._outside.report_refusals(settled.assignments_to_report, now))
        for wait in waits:
            if wait is not None:
                self._loop.after(wait, "report", self._report)
        self.problems.set(Reason.EVENTS_NOT_DELIVERED, self._outside.target.problem)
        self.problems.set(Reason.SPOOL_NOT_WRITTEN, self._spool.problem)
        self.problems.set(Reason.OOMNODE_NOT_WRITTEN, self._outside.problem)
        if (self._spool.reported, self._outside.reported_refusals) != before[:2]:
            self._keeper.save_later()
        if (self._spool.reported, self._outside.reported_refusals, self.problems.current) != before:
            self._status.write_later()

    def _view(self) -> View:
        known, settled, pinned = self._source.known, self._mapper.settled, self._mapper.pinned
        return View(
            mode=self._scores.mode if self._scores.asked else self._mode.current,
            max_kills=self._source.max_kills or 0,
            circuit=self._circuit.sentence,
            attachment=self._attachment,
            policy_hash=known.policy_hash if known else "",
            pods=(*settled.pods, *settled.waiting),
            not_mapped=self._mapper.not_mapped,
            entries=pinned.entries,
            entries_missing=pinned.missing,
            counters={**pinned.counters(), **self._kernel_log.counters},
            spooled=len(self._spool.pending),
            spool_dropped=self._spool.dropped,
            problems=self.problems.current,
            assignments=settled.assignments_to_report,
            claims_refused=len(settled.refused),
            last_victims=tuple(self._reporter.last),
            scores=self._scores.state,
            kernel_log=self._kernel_log.works,
        )

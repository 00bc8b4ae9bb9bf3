# SPDX-License-Identifier: Apache-2.0
"""Report victims: spool them, name them, hand them to the sink, and remove each only after its report arrived."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from oompolicy.logs import FIELDS
from oompolicy_agent.kernel.layout import VictimFlag
from oompolicy_agent.mapping.owners import CgroupOwners
from oompolicy_agent.status.document import LAST_VICTIMS
from oompolicy_agent.victims.logged import located
from oompolicy_agent.victims.naming import name_victim, qos_class
from oompolicy_agent.victims.report import report_of
from oompolicy_agent.victims.sink import PARKED
from oompolicy_agent.victims.spooled import parse_raw

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from oompolicy.model import Pod
    from oompolicy_agent.settings import Settings
    from oompolicy_agent.status.counters import Counters
    from oompolicy_agent.victims.naming import NamedVictim
    from oompolicy_agent.victims.record import Victim
    from oompolicy_agent.victims.report import Report
    from oompolicy_agent.victims.sink import EventSink
    from oompolicy_agent.victims.spool import Spool
    from oompolicy_agent.victims.spooled import Spooled
    from oompolicy_agent.victims.verdict import Judge, Verdict

BATCH: Final = 100
"""The number of reports before the loop serves other work."""

log = logging.getLogger(__name__)


class _Found(NamedTuple):
    spooled: Spooled
    report: Report


class Reporter:
    """The way from the kernel's records, through the spool, to the sink."""

    def __init__(
        self,
        settings: Settings,
        boot_id: str,
        spool: Spool,
        index: CgroupOwners,
        sink: EventSink,
        *,
        counters: Counters,
        discloses: Callable[[], bool],
        verdict: Judge,
        locate: Callable[[Victim], Victim],
    ) -> None:
        """`discloses` returns True if the Event of a victim may name pods of other namespaces.

        `verdict` is called as soon as a victim is received. `locate` finds the cgroups of a victim of this boot that
        comes from the kernel's log.
        """
        self._settings, self._boot_id = settings, boot_id
        self._spool, self._index, self._sink, self._counters = spool, index, sink, counters
        self._discloses, self._verdict, self._locate = discloses, verdict, locate
        self._verdicts: dict[str, Verdict | None] = {}
        self._arrived: dict[str, float] = {}
        self._incomplete: dict[str, float] = {}
        self._not_before: dict[str, float] = {}
        self._logged: set[str] = set()
        self._kept: set[str] = set()
        self._under_way: set[str] = set()
        self._dropped = 0
        self._pods_missing = False
        self.last: deque[Mapping[str, Any]] = deque(maxlen=LAST_VICTIMS)

    def receive(self, raw: bytes, now: float, *, logged: bool = False) -> Victim | None:
        """Spool the record of a victim. Return it if it is a new one. A record that cannot be read is logged.

        The object of its pod may arrive a little later than `now`. `logged` is True for a kill in the kernel's log.
        """
        try:
            name = self._spool.add(raw, logged=logged)
        except (ValueError, OverflowError, RecursionError) as error:
            log.error("a record cannot be used: %s", error)  # noqa: TRY400 (no traceback: the sentence says it all)
            return None
        if not name:
            return None
        victim = self._locate(parse_raw(raw, self._boot_id, logged=logged))
        self._arrived[name] = now
        self._verdicts[name] = self._verdict(victim, live=True)
        return victim

    def run(self, pods: tuple[Pod, ...], now: float, *, incomplete: bool = False) -> float | None:
        """Report all victims that can be reported. Return the seconds until the next try, or None.

        If `incomplete` is true, whole pods are missing from `pods` and will arrive, so no victim is reported without
        its name.
        """
        self._pods_missing = incomplete
        self._spool.retry_held()
        self._settle(now)
        if self._run_batch(pods, now):
            return 0.0
        self._forget_dropped()
        deadlines = [*self._incomplete.values(), *self._not_before.values()]
        waits = [deadline - now for deadline in deadlines if now < deadline < PARKED]
        wait = self._sink.wait(now)
        return min(waits if wait is None else [*waits, wait], default=None)

    def _run_batch(self, pods: tuple[Pod, ...], now: float) -> bool:
        """Report one batch. Return True if more victims wait."""
        handled, open_ = 0, True
        for name in self._spool.pending:
            ready = open_ and name not in self._under_way and self._not_before.get(name, now) <= now
            if not ready and (name in self._kept or not self._sink.stalled):
                continue
            try:
                found = self._find(name, pods, now)
                if found is None:
                    continue
                if ready:
                    open_ = self._hand_over(name, found, now)
                if self._sink.stalled and name not in self._kept:
                    self._keep(name, found)
            except MemoryError:
                raise
            except Exception as error:  # noqa: BLE001 (what one record raises must not cost the others)
                self._spool.drop(name, repr(error))
                continue
            self._settle(now)
            handled += 1
            if handled == BATCH:
                return True
        return False

    def _hand_over(self, name: str, found: _Found, now: float) -> bool:
        spooled = found.spooled
        report = found.report.standing_for(spooled.repeats, spooled.last_ns)
        if not self._sink.offer(name, report, now):
            return False
        self._spool.complete(name)
        self._under_way.add(name)
        self._not_before.pop(name, None)
        return True

    def _keep(self, name: str, found: _Found) -> None:
        self._kept.add(name)
        if not found.spooled.report:
            self._spool.keep(name, found.spooled, found.report)

    def _settle(self, now: float) -> None:
        settled = self._sink.settled(now)
        for name in settled.done:
            self._spool.done(name)
            self._forget(name)
        for name, delay in settled.again:
            if not self._spool.returned(name):
                self._forget(name)
                self._sink.forget((name,))
                continue
            if delay == PARKED:
                self._spool.untouched(name)
            self._under_way.discard(name)
            self._not_before[name] = now + delay

    def _forget(self, name: str) -> None:
        for names in (self._logged, self._kept, self._under_way):
            names.discard(name)
        self._verdicts.pop(name, None)
        for times in (self._arrived, self._incomplete, self._not_before):
            times.pop(name, None)

    def _forget_dropped(self) -> None:
        """Forget victims that the spool dropped, because they never become done."""
        if self._spool.dropped != self._dropped:
            self._dropped = self._spool.dropped
            dropped = self._logged.union(self._arrived, self._verdicts).difference(self._spool.pending)
            for name in dropped:
                self._forget(name)
            self._sink.forget(dropped)

    # One victim.

    def _find(self, name: str, pods: tuple[Pod, ...], now: float) -> _Found | None:
        """Return a victim and its report, or None.

        None means that the file cannot be read, or that the object of a pod may still complete the victim's name.
        """
        spooled = self._spool.read(name)
        if spooled is None:
            return None
        if spooled.report:
            self._log_once(name, spooled.report)
            return _Found(spooled, spooled.report)
        if spooled.victim is None:
            raise ValueError("the file has neither a record nor a report")
        named = self._name(name, spooled.victim, pods)
        deadline = self._arrived.get(name, -self._settings.naming_grace) + self._settings.naming_grace
        if not named.complete and (self._pods_missing or deadline > now):
            self._incomplete[name] = deadline
            return None
        self._incomplete.pop(name, None)
        if name in self._arrived and name not in self._logged:
            self._counters.victim(named.scope, qos_class(named.victim), named.owner.namespace, named.policy)
            self._count_choice(named.victim)
        made = report_of(named, self._settings.node, spooled.realtime_offset_ns, disclose=self._discloses())
        self._log_once(name, made)
        return _Found(spooled, made)

    def _count_choice(self, victim: Victim) -> None:
        """Count the comparison once for each OOM, because all victims of a group belong to the same OOM."""
        if victim.mode and victim.comparison and not victim.flags & VictimFlag.GROUP:
            self._counters.choice(victim.mode, victim.comparison)

    def _log_once(self, name: str, report: Report) -> None:
        """Log the victim and add it to the last victims, once, even if the report itself takes long."""
        if name not in self._logged:
            self._logged.add(name)
            self.last.append(report.summary)
            log.warning("%s", report.log["message"], extra={FIELDS: report.log})

    def _name(self, name: str, victim: Victim, pods: tuple[Pod, ...]) -> NamedVictim:
        # In another boot the same cgroup ids belong to other cgroups.
        if victim.boot_id != self._boot_id:
            return name_victim(located(victim, CgroupOwners(), "", 0), CgroupOwners(), pods)
        victim = self._locate(victim)
        if name not in self._verdicts:
            self._verdicts[name] = self._verdict(victim, live=False)
        return name_victim(victim, self._index, pods, self._verdicts[name])

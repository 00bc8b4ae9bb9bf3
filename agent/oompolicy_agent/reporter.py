# SPDX-License-Identifier: Apache-2.0
"""Reports spooled victims: name, write, and only then forget."""

from __future__ import annotations

import logging
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from oompolicy_agent.cgroups import Tree, locate
from oompolicy_agent.events import event, micro_time, note
from oompolicy_agent.index import Index
from oompolicy_agent.status import LAST_VICTIMS
from oompolicy_agent.victims import name_victim, parse_victim

if TYPE_CHECKING:
    from oompolicy.model import Pod
    from oompolicy_agent.output import Target
    from oompolicy_agent.settings import Settings
    from oompolicy_agent.spool import Spool, Spooled
    from oompolicy_agent.victims import NamedVictim, Victim

BATCH: Final = 100
"""Reports between two looks at everything else."""

log = logging.getLogger(__name__)


class Reporter:
    """From spool to output."""

    def __init__(
        self,
        settings: Settings,
        boot_id: str,
        spool: Spool,
        index: Index,
        output: Target,
    ) -> None:
        """Look at what the output already has."""
        self._settings, self._boot_id = settings, boot_id
        self._spool, self._index, self._output = spool, index, output
        # An earlier agent may have died between writing a report and removing its file.
        self._written = output.last()
        self._seen: dict[str, float] = {}
        self._retry_at = 0.0
        self._backoff = 0.0
        self.last: deque[dict[str, Any]] = deque(maxlen=LAST_VICTIMS)
        self.problem = ""

    def arrived(self, name: str, now: float) -> None:
        """A victim was spooled just now: its pod's object may still be under way."""
        self._seen[name] = now

    def run(self, pods: tuple[Pod, ...], tree: Tree, now: float) -> float | None:
        """Report what can be. Seconds until there is something to try again, or None."""
        if now < self._retry_at:
            return self._retry_at - now
        self._spool.retry_held()
        try:
            wait = self._report_batch(pods, tree, now)
        except OSError as error:
            return self._failed(error, now)
        self._backoff, self.problem = 0.0, ""
        return wait

    def _report_batch(self, pods: tuple[Pod, ...], tree: Tree, now: float) -> float | None:
        reported, waits = 0, []
        for name in self._spool.pending:
            spooled = self._spool.read(name)
            if spooled is None:
                continue
            named = self._name(spooled, pods, tree, now)
            wait = self._seen.get(name, -self._settings.naming_grace) + self._settings.naming_grace - now
            if wait > 0 and not named.complete:
                waits.append(wait)
                continue
            self._report(name, named, spooled)
            reported += 1
            if reported == BATCH:
                return 0.0
        return min(waits, default=None)

    def _report(self, name: str, named: NamedVictim, spooled: Spooled) -> None:
        if name.encode() not in self._written:
            self._output.write(event(named, self._settings.node, spooled.realtime_offset_ns))
        self._spool.done(name)
        self._seen.pop(name, None)
        self.last.append(_summary(named, spooled))
        log.warning("%s", note(named))

    def _name(self, spooled: Spooled, pods: tuple[Pod, ...], tree: Tree, now: float) -> NamedVictim:
        victim = parse_victim(spooled.raw, spooled.boot_id)
        # Cgroup ids of another boot are other cgroups' now.
        if spooled.boot_id != self._boot_id:
            return name_victim(victim, Index(), pods)
        self._learn(victim, tree, now)
        return name_victim(victim, self._index, pods)

    def _learn(self, victim: Victim, tree: Tree, now: float) -> None:
        """Trigger and spared may live below their container, and the record has only their own cgroup's id."""
        ids = [process.cgroup_id for process in (victim.trigger, victim.spared) if process]
        for cgroup_id, container_id in locate(tree, [i for i in ids if i and self._index.get(i) is None]).items():
            if owner := self._index.get(container_id):
                self._index.learn(cgroup_id, owner, now)

    def _failed(self, error: OSError, now: float) -> float:
        self._backoff = min(self._settings.retry_max, 2 * self._backoff or 1.0)
        self._retry_at = now + self._backoff
        self.problem = f"victims cannot be reported and stay spooled: {error}"
        return self._backoff


def _summary(named: NamedVictim, spooled: Spooled) -> dict[str, Any]:
    victim, owner = named.victim, named.owner
    known = {
        "namespace": owner.namespace if owner else "",
        "pod": owner.pod if owner else "",
        "container": owner.container if owner else "",
        "policy": named.decided_by.policy if named.decided_by else "",
    }
    return {
        "time": micro_time(victim.boottime_ns + spooled.realtime_offset_ns),
        **{key: value for key, value in known.items() if value},
        "process": victim.comm,
        "pid": victim.tgid,
        "priority": victim.priority,
        "scope": named.scope,
    }

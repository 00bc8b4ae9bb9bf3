# SPDX-License-Identifier: Apache-2.0
"""The adjuster's loop: look at the node, bring the processes to the wanted scores, and wait for the next reason."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from oompolicy_agent.adjuster import look, memory, pace
from oompolicy_agent.adjuster.pressure import PressureWatch
from oompolicy_agent.adjuster.processes import VANISHED
from oompolicy_agent.adjuster.wanted import Wanted, WantedFile
from oompolicy_agent.mapping.cgroups import scan
from oompolicy_agent.mapping.cgroupwalk import MOST_CGROUPS
from oompolicy_agent.plumbing.folderwatch import FolderWatch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence, Set
    from pathlib import Path

    from oompolicy_agent.adjuster.enforcer import Enforcer
    from oompolicy_agent.adjuster.killgroups import KillGroups
    from oompolicy_agent.adjuster.logged import LoggedKills
    from oompolicy_agent.adjuster.look import Look
    from oompolicy_agent.adjuster.processes import Processes
    from oompolicy_agent.adjuster.reporting import Reporting
    from oompolicy_agent.adjuster.solver import Solution
    from oompolicy_agent.plumbing.loop import Loop

log = logging.getLogger(__name__)

_SETTLE = 0.02
"""Seconds between a change of the request and the look. Pods often start together."""
_NAMED = 5
"""The pods that a message names."""
_GROUPS_HINT = (
    "; they keep it, and the kernel may kill more or less than killScope asks for; the adjuster needs the capability "
    "DAC_OVERRIDE and write access to the cgroup tree"
)
_HINT = (
    "; they keep their oom_score_adj; the adjuster needs the capabilities DAC_OVERRIDE and SYS_RESOURCE, "
    "and the node's pid namespace (hostPID)"
)


class Adjuster:
    """The adjuster of one node. `solution` is that of the last look, or None if nothing is enforced or audited."""

    def __init__(
        self,
        request: Path,
        cgroup_root: Path,
        loop: Loop,
        enforcer: Enforcer,
        processes: Processes,
        *,
        kill_groups: KillGroups,
        reporting: Reporting,
        kills: LoggedKills,
    ) -> None:
        self.solution: Solution | None = None
        self._file, self._folder = WantedFile(request), FolderWatch(request.parent, request.name)
        self._root, self._loop = cgroup_root, loop
        self._enforcer, self._processes, self._reporting = enforcer, processes, reporting
        self._kill_groups, self._kills = kill_groups, kills
        self._grouped: Mapping[int, bool] | None = None
        self._group_again = 0.0
        self._pressure: PressureWatch | None = None
        self._looked, self._left, self._unfinished = loop.clock(), 1.0, False
        self._roots: tuple[str, ...] = ()
        self._said: dict[str, str] = {}

    def start(self) -> None:
        """Begin to follow the request and the memory."""
        self._loop.watch(self._folder.fd, self._request_changed)
        try:
            self._pressure = PressureWatch()
        except OSError as error:
            log.info("the kernel does not report memory pressure (%s), so only the clock decides when to look", error)
        else:
            self._loop.watch(self._pressure.fd, self._pressed)
        self._folder.changed()
        self._file.read()
        self.look()
        self._check_later(self._left)

    def close(self) -> None:
        """End all watches. The scores stay."""
        self._folder.close()
        self._kills.close()
        if self._pressure:
            self._pressure.close()

    def look(self) -> None:
        """Look at the node, bring all processes to what is wanted now, and report that to the agent."""
        self._say("request", self._file.problem)
        wanted = self._file.current
        # The last look knows the places of the victims. This one no longer finds them.
        self._follow_log(wanted)
        done = self._look(wanted) if wanted else False
        message = "; ".join(text for subject, text in self._said.items() if text and subject != "mode")
        self._reporting.write(
            wanted,
            written=done and wanted is not None and wanted.mode == "Enforce",
            message=message,
            kernel_log=self._kills.problem if wanted and wanted.kernel_log else None,
        )
        self._say("report", self._reporting.problem)

    def _look(self, wanted: Wanted) -> bool:
        """Return True if the look wrote all that it had to."""
        self._processes.errors.clear()
        self._reporting.begin()
        self._looked, self._left = self._loop.clock(), memory.share_left(self._roots)
        try:
            found = look.take(self._root, self._processes, wanted, self._most(wanted))
            self._bring(found, wanted)
        except OSError as error:
            self._unfinished = True
            self._say("look", f"scores may be old: {error}")
        else:
            self._say("look", "")
            self._say("cgroups", _crowded(found.crowded))
        self._bring_groups(wanted.kill_groups)
        failed = set(self._processes.errors) - {VANISHED}
        self._log(wanted, failed)
        return not failed and not self._said.get("look") and not self._said.get("cgroups")

    def _most(self, wanted: Wanted) -> int | None:
        """Return the number of cgroups to read of one pod. No process with a score is left out when it has to go."""
        return None if wanted.mode != "Enforce" and self._enforcer.has_originals else MOST_CGROUPS

    def _bring(self, found: Look, wanted: Wanted) -> None:
        self.solution, self._roots = None, found.roots
        back = groups = (*found.wanted, *found.others)
        originals = self._enforcer.learn(groups)
        if wanted.mode == "Enforce":
            self.solution = self._enforcer.enforce(found.wanted, found.scopes, wanted.host_priority)
            back = found.others
        elif wanted.mode == "Audit":
            self.solution = self._enforcer.audit(found.wanted, found.scopes, wanted.host_priority)
        self._unfinished = self._enforcer.restore(back)
        self._enforcer.forget_all_but(groups, found.cgroups if found.complete else None, found.host)
        self._reporting.looked(found, wanted, originals, self.solution)
        self._kills.looked(found)

    def _bring_groups(self, wanted: Mapping[int, bool]) -> None:
        """Bring memory.oom.group to what is wanted, at once after a change, and otherwise every now and then."""
        now = self._loop.clock()
        if wanted == self._grouped and now < self._group_again:
            return
        self._grouped, self._group_again = wanted, now + pace.GROUPS
        try:
            written = self._kill_groups.bring(scan(self._root), wanted) if wanted or self._kill_groups.known else 0
        except OSError as error:
            self._say("groups", f"memory.oom.group may be old: {error}")
            return
        if written:
            log.info("memory.oom.group of %d cgroups is changed", written)
        failed = ", ".join(sorted(self._kill_groups.errors))
        sentence = f"memory.oom.group of some cgroups cannot be read or written: {failed}{_GROUPS_HINT}"
        self._say("groups", sentence if failed else "")

    def _request_changed(self) -> None:
        if self._folder.changed() and self._file.read():
            self._loop.after(_SETTLE, "look", self.look)
        self._say("request", self._file.problem)

    def _pressed(self) -> None:
        if self._pressure:
            self._pressure.acknowledge()
        self._loop.after(max(0.0, self._looked + pace.SHORTEST - self._loop.clock()), "look", self.look)

    def _follow_log(self, wanted: Wanted | None) -> None:
        if wanted:
            self._kills.follow(wanted=wanted.kernel_log)
            self._say("kernel log", self._kills.problem)

    def _check(self) -> None:
        """Read the memory that is left, and look if it is time."""
        self._follow_log(self._file.current)
        elapsed, left = self._loop.clock() - self._looked, memory.share_left(self._roots)
        if self._unfinished or pace.is_due(elapsed, left, self._left, self._margin()):
            if not self._folder.complete:
                self._folder.renew()
            self._file.read()
            self.look()
        self._check_later(left)

    def _check_later(self, left: float) -> None:
        self._loop.after(pace.check_after(left), "check", self._check)

    def _margin(self) -> float:
        return self.solution.order.margin / memory.of_node().total if self.solution else 1.0

    def _log(self, wanted: Wanted, errors: Set[str]) -> None:
        self._say("mode", f"mode {wanted.mode}")
        broken = self.solution.order.broken if self.solution else ()
        self._say("order", "; ".join(map(str, broken)))
        failed = ", ".join(sorted(errors))
        self._say("errors", f"some processes cannot be read or written: {failed}{_HINT}" if failed else "")

    def _say(self, subject: str, sentence: str) -> None:
        """Log a sentence when it changes."""
        if sentence != self._said.get(subject, ""):
            self._said[subject] = sentence
            if sentence and subject != "mode":
                log.warning("%s", sentence)
            else:
                log.info("%s", sentence or f"{subject}: in order again")


def _crowded(pods: Sequence[str]) -> str:
    """Return a sentence about the cgroups of pods with too many cgroups, or an empty string."""
    if not pods:
        return ""
    return (
        f"{', '.join(sorted(pods)[:_NAMED])}: more than {MOST_CGROUPS} cgroups are in this pod, and the processes in "
        "those that are not read keep their oom_score_adj; find the pod by the uid in the name, and remove cgroups"
    )

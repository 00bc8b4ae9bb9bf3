# SPDX-License-Identifier: Apache-2.0
"""Decide if the victims have to come from the kernel's log, and follow what the adjuster says about it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from oompolicy_agent.kernel.layout import Stat
from oompolicy_agent.plumbing.paths import ADJUSTER_REPORT, LOGGED_KILLS
from oompolicy_agent.scores.killfile import KillFile
from oompolicy_agent.scores.reports import FRESH_NS, Reports
from oompolicy_agent.status.reasons import Reason
from oompolicy_agent.victims.logged import Recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from oompolicy_agent.adjuster.report import Report
    from oompolicy_agent.kernel.attachment import Attachment
    from oompolicy_agent.settings import Settings
    from oompolicy_agent.status.problems import Problems
    from oompolicy_agent.victims.record import Victim

NOT_ALLOWED: Final = (
    "no BPF program can report victims on this node, and this agent may not ask for the kernel's log: set "
    "kernelLog.enabled in the chart, or the flag --kernel-log of the agent"
)
_SILENT: Final = "see the log of the pod oompolicy-adjuster of this node"


class KernelLog:
    """The kernel's log as a source of victims. `asked` is True while the adjuster has to follow it.

    `works` is True while the adjuster says that it does.
    """

    def __init__(self, settings: Settings, boot_id: str, problems: Problems) -> None:
        """Ask for nothing yet."""
        self.asked = self.works = self._needed = False
        self._kills = KillFile(settings.adjuster_dir / LOGGED_KILLS, settings.taken_kills, boot_id)
        self._recorded = Recorded()
        self._allowed, self._problems = settings.kernel_log, problems
        self._reports = Reports(settings.adjuster_dir / ADJUSTER_REPORT, boot_id)

    def judge(self, attachment: Attachment, *, forbidden: bool) -> None:
        """Take over the state of the programs. `forbidden` is True if the kernel opens no map for this agent."""
        self._needed = attachment.refused or forbidden
        self.asked = self._needed and self._allowed

    def look(self, now_ns: int) -> None:
        """Read the adjuster's report. `now_ns` is the boot clock."""
        problem = None
        if self.asked:
            self._reports.read()
            problem = problem_of(self._reports.last, self._reports.problem, now_ns)
        elif self._needed:
            problem = NOT_ALLOWED
        self.works = self.asked and problem is None
        self._problems.set(Reason.KERNEL_LOG_UNREADABLE, problem)

    @property
    def counters(self) -> Mapping[Stat, int]:
        """The counters of the log, in place of those of a program. Empty while the log is not asked for."""
        if not self.asked:
            return {}
        return {Stat.VICTIMS: self._kills.found, Stat.VICTIMS_DROPPED: self._kills.lost}

    def recorded(self, victim: Victim) -> None:
        """Take note of a victim that a program has recorded, so that the log does not report it again."""
        self._recorded.add(victim)

    def take(self, receive: Callable[[bytes], None]) -> bool:
        """Pass each new kill to `receive`, which spools it. Return True if there were any, or if some are lost."""
        if not self.asked:
            return False
        lost, kills = self._kills.lost, self._kills.new()
        for kill in kills:
            if not self._recorded.has(kill):
                receive(json.dumps(kill).encode())
        if kills:
            self._kills.took(kills[-1]["number"])
        return bool(kills) or lost != self._kills.lost


def problem_of(report: Report | None, problem: str, now_ns: int) -> str | None:
    """Return why the adjuster does not follow the log, or None. `problem` says why there is no report. Pure."""
    start = "no BPF program can report victims on this node, and the adjuster does not follow the kernel's log"
    if report is None:
        return f"{start}: it does not report: {problem}; {_SILENT}"
    if not report.boot_time_ns or report.kernel_log is None:
        return f"{start} yet"
    if now_ns - report.boot_time_ns > FRESH_NS:
        return f"{start}: it has not looked at the node for more than {FRESH_NS // 10**9} s; {_SILENT}"
    return f"{start}: {report.kernel_log}" if report.kernel_log else None

# SPDX-License-Identifier: Apache-2.0
"""Write the report of a look for the agent."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from oompolicy.timestamps import api_micro_time
from oompolicy_agent.adjuster import choice, memory, report
from oompolicy_agent.adjuster.report import Chosen, Report, Scored

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from oompolicy_agent.adjuster.choice import Choice
    from oompolicy_agent.adjuster.group import Process
    from oompolicy_agent.adjuster.look import Look
    from oompolicy_agent.adjuster.originals import Original
    from oompolicy_agent.adjuster.solver import Solution
    from oompolicy_agent.adjuster.wanted import Wanted

_PAGE: Final = os.sysconf("SC_PAGESIZE")


class Reporting:
    """The report of one adjuster. `problem` is a sentence while it cannot be written, or an empty string."""

    def __init__(self, path: Path, boot_id: str, comm: Callable[[Process], str]) -> None:
        """`comm` returns the name of a process."""
        self.problem = ""
        self._path, self._comm = path, comm
        self._report = Report(boot_id=boot_id)
        self._began = 0, ""

    def begin(self) -> None:
        """Take note of the time at which a look begins. A process that dies later was a candidate in this look."""
        self._began = time.clock_gettime_ns(time.CLOCK_BOOTTIME), api_micro_time(datetime.now(UTC))

    def looked(self, found: Look, wanted: Wanted, originals: Mapping[int, Original], solution: Solution | None) -> None:
        """Take over the results of a look. `originals` are from before its writes."""
        spared: Mapping[str, Choice] = {}
        would_kill: Mapping[str, Choice] = {}
        if wanted.mode == "Enforce":
            spared = choice.by_originals(found, originals, wanted.host_priority)
        elif solution:
            would_kill = choice.by_scores(found, originals, solution.scores, wanted.host_priority)
        order = solution.order if solution else None
        self._report = Report(
            boot_id=self._report.boot_id,
            boot_time_ns=self._began[0],
            time=self._began[1],
            margin=order.margin * _PAGE if order else None,
            margins={priority: pages * _PAGE for priority, pages in order.margins.items()} if order else {},
            total=memory.of_node().total * _PAGE,
            unmet=tuple(sorted({each.higher for each in order.broken})) if order else (),
            spared=self._chosen(spared),
            would_kill=self._chosen(would_kill),
            scored=frozenset(group.cgroup for group in found.wanted) if order else frozenset(),
            scores=_scores(found, solution) if solution and wanted.mode == "Enforce" else {},
        )

    def write(self, wanted: Wanted | None, *, written: bool, message: str, kernel_log: str | None) -> None:
        """Write the report. `written` is True if the last look wrote every score that it had to.

        `kernel_log` says why the kernel's log cannot be followed. It is empty if it is followed, and None if the agent
        did not ask for it.
        """
        mode = wanted.mode if wanted else None
        self._report = replace(self._report, mode=mode, written=written, message=message, kernel_log=kernel_log)
        try:
            report.write(self._path, self._report)
        except OSError as error:
            self.problem = f"the report for the agent cannot be written: {error}"
        else:
            self.problem = ""

    def _chosen(self, choices: Mapping[str, Choice]) -> dict[str, Chosen]:
        return {
            scope: Chosen(
                cgroup,
                process.id.pid,
                process.id.start,
                process.usage * _PAGE,
                priority,
                self._comm(process),
            )
            for scope, (process, cgroup, priority) in choices.items()
        }


def _scores(found: Look, solution: Solution) -> dict[int, Scored]:
    return {each.cgroup: Scored(each.priority, solution.scores[each.cgroup]) for each in found.wanted}

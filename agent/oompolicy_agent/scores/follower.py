# SPDX-License-Identifier: Apache-2.0
"""Ask the adjuster for scores while the node has no hook, follow its reports, and judge victims by them."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from oompolicy.oomsettings import Mode
from oompolicy_agent.plumbing.clock import boot_clock
from oompolicy_agent.plumbing.paths import ADJUSTER_REPORT, WANTED
from oompolicy_agent.scores import verdicts
from oompolicy_agent.scores.reports import Reports
from oompolicy_agent.scores.request import RequestFile, asks, request_of
from oompolicy_agent.scores.state import judge
from oompolicy_agent.scores.verdicts import Asked
from oompolicy_agent.victims.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from oompolicy_agent.kernel.attachment import Attachment
    from oompolicy_agent.mapping.desired import Value
    from oompolicy_agent.mapping.owners import CgroupOwners
    from oompolicy_agent.settings import Settings
    from oompolicy_agent.status.counters import Counters
    from oompolicy_agent.status.problems import Problems
    from oompolicy_agent.status.scores import Scores
    from oompolicy_agent.victims.record import Victim

_VICTIMS: Final = 256
"""The number of victims to remember, far more than die between two looks."""


class ScoresFollower:
    """The scores of one node. `asked` is True while the node has no hook. `state` is None while it is False."""

    def __init__(
        self, settings: Settings, boot_id: str, owners: CgroupOwners, problems: Problems, counters: Counters
    ) -> None:
        """Write nothing yet."""
        self.asked = False
        self.state: Scores | None = None
        self.mode = Mode.OFF
        self._allowed, self._owners, self._problems, self._counters = settings.scores, owners, problems, counters
        self._file = RequestFile(settings.run_dir / WANTED, problems)
        self._reports = Reports(settings.adjuster_dir / ADJUSTER_REPORT, boot_id)
        self._requested: dict[int, Asked] = {}
        self._victims: deque[Victim] = deque(maxlen=_VICTIMS)

    def request(
        self,
        attachment: Attachment,
        mode: Mode,
        host_priority: int,
        entries: Mapping[int, Value] | None,
        *,
        kill_groups: Mapping[int, bool] | None,
        kernel_log: bool,
        again: bool = False,
    ) -> None:
        """Write the request if it changed, and with `again` also if it did not.

        `entries` and `kill_groups` are None until pods and policies are known. `kernel_log` is True if the victims have
        to come from the kernel's log.
        """
        self.asked, self.mode = self._allowed and asks(attachment), mode
        groups = self._file.earlier_kill_groups if kill_groups is None else kill_groups
        request = request_of(
            asked=self.asked,
            mode=mode,
            host_priority=host_priority,
            entries=entries,
            kill_groups=groups,
            kernel_log=kernel_log,
        )
        if request:
            self._file.write(request, again=again)
            self._remember(request.cgroups)
        self.look()

    def look(self) -> bool:
        """Read the report. Return True if the state changed in more than its numbers."""
        before = self.state
        if self.asked:
            self._reports.read()
            found = judge(
                self._reports.last, self._reports.problem, self.mode, boot_clock(), self._counters.order_misses
            )
            self.state = found
            for reason, sentence in found.problems.items():
                self._problems.set(reason, sentence)
        elif before:
            self.state = None
            for reason in before.problems:
                self._problems.set(reason)
        return _facts(before) != _facts(self.state)

    def verdict(self, victim: Victim, /, *, live: bool) -> Verdict | None:
        """Return the verdict of a victim, or None if the node has a hook.

        Without `live`, the victim died before this agent ran, and nothing is known of the look before that.
        """
        if not self.asked:
            return None
        self._reports.read()
        report = self._reports.before(victim.boottime_ns) if live else None
        if report is None:
            return Verdict(mode=self.mode)
        since = [each for each in self._victims if each.boottime_ns >= report.boot_time_ns]
        self._victims.append(victim)
        scope = self._owners.get(victim.scope_cgroup_id) if victim.scope_cgroup_id else None
        dead = {verdicts.process_of(each) for each in since}
        found = verdicts.compared(victim, report, verdicts.scope_key(victim, scope), dead)
        killed = {cgroup for each in since for cgroup in each.cgroup_ids}
        lower = verdicts.missed(victim, report, scope, self._requested, self._owners.get, killed=killed)
        alive = tuple(owner for owner in lower if _has_processes(Path(owner.path)))
        if alive:
            self._counters.order_miss()
        return replace(found, missed=alive)

    def _remember(self, cgroups: Mapping[int, int]) -> None:
        """Take note since when each cgroup has its priority in the request."""
        now, before = boot_clock(), self._requested
        self._requested = {
            cgroup: known if (known := before.get(cgroup)) and known.priority == priority else Asked(priority, now)
            for cgroup, priority in cgroups.items()
        }


def _facts(state: Scores | None) -> object:
    return state and (state.reason, state.message, state.order.unmet, state.order.margin is None, state.order.misses)


def _has_processes(cgroup: Path) -> bool:
    """Return True if the cgroup exists, and has a process in it or below it."""
    try:
        return "populated 1" in (cgroup / "cgroup.events").read_text(encoding="ascii").splitlines()
    except OSError:
        return False

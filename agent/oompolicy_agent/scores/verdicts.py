# SPDX-License-Identifier: Apache-2.0
"""Judge one victim by the last look of the adjuster before its death. Pure."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final, NamedTuple

from oompolicy.oomsettings import Mode
from oompolicy_agent.kernel.layout import VictimFlag
from oompolicy_agent.status.reasons import Comparison
from oompolicy_agent.victims.record import Process
from oompolicy_agent.victims.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Set

    from oompolicy_agent.adjuster.report import Chosen, Report
    from oompolicy_agent.mapping.owners import Owner
    from oompolicy_agent.victims.record import Victim

_ROOT: Final = 1
"""The cgroup id of the root of the tree. It stands for a process in no pod."""
_TICK_NS: Final = 1_000_000_000 // os.sysconf("SC_CLK_TCK")
_UNCLEAR: Final = VictimFlag.GROUP | VictimFlag.CONSTRAINED | VictimFlag.NO_SCOPE
"""Victims that were not chosen out of all processes of a known scope."""


class Asked(NamedTuple):
    """The priority of a cgroup in the request, since a time of the boot clock."""

    priority: int
    since_ns: int


def scope_key(victim: Victim, scope: Owner | None) -> str:
    """Return the victim's scope as the report names it, or an empty string. `scope` is the owner of its cgroup."""
    if victim.flags & (VictimFlag.NO_SCOPE | VictimFlag.CONSTRAINED):
        return ""
    if victim.scope_cgroup_id == 0:
        return "Node"
    return "Kubepods" if scope and scope.kind == "kubepods" else ""


def compared(victim: Victim, report: Report, key: str, dead: Set[tuple[int, int]]) -> Verdict:
    """Return the verdict without misses. `dead` are the earlier victims, by `process_of`."""
    mode, age = Mode(report.mode or "Off"), (victim.boottime_ns - report.boot_time_ns) / 1e9
    chosen = (report.would_kill if mode is Mode.AUDIT else report.spared).get(key)
    if chosen is None or mode is Mode.OFF or (chosen.pid, chosen.start_time) in dead:
        return Verdict(mode=mode, age=age)
    if (chosen.pid, chosen.start_time) == process_of(victim) or chosen.cgroup in victim.cgroup_ids:
        return Verdict(mode=mode, age=age, comparison=Comparison.SAME)
    different = Comparison.DIFFERENT
    return Verdict(mode=mode, age=age, comparison=different, other=_process(chosen), other_priority=chosen.priority)


def process_of(victim: Victim) -> tuple[int, int]:
    """Return the pid of a victim, and its start time in ticks since the boot, as /proc has it."""
    return victim.tgid, victim.start_boottime_ns // _TICK_NS


def missed(
    victim: Victim,
    report: Report,
    scope: Owner | None,
    asked: Mapping[int, Asked],
    owner_of: Callable[[int], Owner | None],
    *,
    killed: Set[int],
) -> list[Owner]:
    """Return the containers of a lower priority that were candidates in the victim's scope, if they lived on.

    A container was a candidate if the request had it before the death, and the last look found processes to score. A
    container that is newer than that look counts too. `killed` are the cgroups of victims since that look. The caller
    must check that each container has processes.
    """
    if report.mode != "Enforce" or not report.written or victim.flags & _UNCLEAR or victim.priority is None:
        return []
    if victim.scope_cgroup_id and scope is None:
        return []
    lower = [
        cgroup
        for cgroup, each in asked.items()
        if each.priority < victim.priority
        and each.since_ns <= victim.boottime_ns
        and (cgroup in report.scored or each.since_ns > report.boot_time_ns)
        and cgroup not in killed
        and cgroup not in victim.cgroup_ids
    ]
    return list(_inside(scope, filter(None, map(owner_of, lower))))


def _inside(scope: Owner | None, owners: Iterable[Owner]) -> Iterable[Owner]:
    for owner in owners:
        if owner.kind == "container" and (scope is None or owner.path.startswith(f"{scope.path}/")):
            yield owner


def _process(chosen: Chosen) -> Process:
    along = () if chosen.cgroup else (_ROOT,)
    return Process(chosen.comm, chosen.pid, chosen.cgroup or _ROOT, along)

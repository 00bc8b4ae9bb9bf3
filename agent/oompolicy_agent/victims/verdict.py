# SPDX-License-Identifier: Apache-2.0
"""The part of scores in the death of a victim, on a node without the hook. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from oompolicy.oomsettings import Mode
from oompolicy_agent.kernel.layout import VictimFlag
from oompolicy_agent.status.reasons import Comparison

if TYPE_CHECKING:
    from oompolicy_agent.mapping.owners import Owner
    from oompolicy_agent.victims.record import Process, Victim


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The facts of one victim. `mode` is the mode of the adjuster at its last look before the death.

    `age` are the seconds between both, or None if no look is known. `other` is the process that the other rule would
    have killed then: the original values in the mode Enforce, and the scores in Audit. It is None if that is the victim
    itself (`comparison`), or unknown. `missed` has the containers of a lower priority that lived on.
    """

    mode: Mode
    age: float | None = None
    comparison: Comparison = Comparison.UNKNOWN
    other: Process | None = None
    other_priority: int = 0
    missed: tuple[Owner, ...] = ()


class Judge(Protocol):
    """Judges a victim."""

    def __call__(self, victim: Victim, /, *, live: bool) -> Verdict | None:
        """Return the verdict, or None if the node has a hook. `live` is False for a victim from before this agent."""


def decided(victim: Victim, verdict: Verdict) -> Victim:
    """Return the victim as a program with the hook would have recorded it.

    The observing program does not know of scores, so its record says that priorities had no part in the OOM.
    """
    flags = victim.flags & ~(VictimFlag.SELECTED | VictimFlag.OFF | VictimFlag.AUDIT | VictimFlag.UNSURE)
    if verdict.mode is Mode.OFF:
        return replace(victim, flags=flags | VictimFlag.OFF)
    flags |= VictimFlag.SELECTED
    if verdict.mode is Mode.AUDIT:
        flags |= VictimFlag.AUDIT
    if verdict.comparison is Comparison.UNKNOWN:
        flags |= VictimFlag.UNSURE
    if verdict.other is None:
        return replace(victim, flags=flags)
    flags |= VictimFlag.CHANGED
    if verdict.other.cgroup_id and not verdict.other.cgroup_ids:
        flags |= VictimFlag.SPARED_ENTRY
    return replace(victim, flags=flags, spared=verdict.other, spared_priority=verdict.other_priority, spared_badness=0)

# SPDX-License-Identifier: Apache-2.0
"""Recognizes the kills that count for maxKillsPerMinute of OOMSettings. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oompolicy.oomsettings import Mode
from oompolicy_agent.kernel.layout import VictimFlag
from oompolicy_agent.victims.naming import scope_of

if TYPE_CHECKING:
    from oompolicy_agent.mapping.owners import CgroupOwners
    from oompolicy_agent.victims.record import Victim


def policy_kill_ns(victim: Victim, index: CgroupOwners, by_scores: Mode | None) -> int | None:
    """Return the boot clock of a kill that a policy chose, in nanoseconds, or None for any other kill.

    `by_scores` is the mode of a node that enforces by scores, where the programs have no mode, and None elsewhere.
    All victims of a group belong to one choice. A container that exceeds its own limit loses one of its own processes
    in every mode, so such a kill does not count either. Neither does a kill whose scope the kernel's log does not have.
    """
    scope = scope_of(victim, index)
    if (
        (victim.mode or by_scores) is not Mode.ENFORCE
        or victim.flags & VictimFlag.GROUP
        or scope == "Container"
        or (victim.logged and scope == "Unknown")
    ):
        return None
    return victim.boottime_ns

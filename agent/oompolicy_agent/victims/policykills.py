# SPDX-License-Identifier: Apache-2.0
"""Recognizes the kills that count for maxKillsPerMinute of OOMSettings. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oompolicy.oomsettings import Mode
from oompolicy_agent.kernel.layout import VictimFlag
from oompolicy_agent.victims.naming import scope_of
from oompolicy_agent.victims.record import parse_victim

if TYPE_CHECKING:
    from oompolicy_agent.mapping.owners import CgroupOwners


def policy_kill_ns(raw: bytes, boot_id: str, index: CgroupOwners, by_scores: Mode | None) -> int | None:
    """Return the boot clock of a kill that a policy chose, in nanoseconds, or None for any other kill.

    `by_scores` is the mode of a node that enforces by scores, where the programs have no mode, and None elsewhere.
    All victims of a group belong to one choice. A container that exceeds its own limit loses one of its own processes
    in every mode, so such a kill does not count either. ValueError if the record cannot be read.
    """
    victim = parse_victim(raw, boot_id)
    if (
        (victim.mode or by_scores) is not Mode.ENFORCE
        or victim.flags & VictimFlag.GROUP
        or scope_of(victim, index) == "Container"
    ):
        return None
    return victim.boottime_ns

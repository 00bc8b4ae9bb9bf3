# SPDX-License-Identifier: Apache-2.0
"""Reports one named victim: an Event, and an item for the node's status. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from oompolicy_agent.victims.event import event, micro_time

if TYPE_CHECKING:
    from oompolicy_agent.victims.naming import NamedVictim


class Report(NamedTuple):
    """`summary` is an item of the status's `lastVictims`."""

    event: dict[str, Any]
    summary: dict[str, Any]


def report_of(named: NamedVictim, node: str, realtime_offset_ns: int) -> Report:
    """The report of a victim. `realtime_offset_ns` is that of `events.event`."""
    return Report(event(named, node, realtime_offset_ns), _summary(named, realtime_offset_ns))


def counted(event: dict[str, Any], repeats: int, last_ns: int) -> dict[str, Any]:
    """The Event of a victim that stands for `repeats` more, of which the last died at `last_ns`, the time of day."""
    if not repeats:
        return event
    return event | {"series": {"count": 1 + repeats, "lastObservedTime": max(event["eventTime"], micro_time(last_ns))}}


def _summary(named: NamedVictim, realtime_offset_ns: int) -> dict[str, Any]:
    victim, owner = named.victim, named.owner
    known = {
        "namespace": owner.namespace,
        "pod": owner.pod,
        "container": owner.container,
        "policy": named.decided_by.policy if named.decided_by else "",
    }
    return {
        "time": micro_time(victim.boottime_ns + realtime_offset_ns),
        **{key: value for key, value in known.items() if value},
        "process": victim.comm,
        "pid": victim.tgid,
        "priority": victim.priority,
        "scope": named.scope,
    }

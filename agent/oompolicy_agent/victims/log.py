# SPDX-License-Identifier: Apache-2.0
"""The log line of one victim, for programs that keep logs longer than the API server keeps Events. Pure.

docs/reference.md describes each key. A new version may add keys, and it keeps the meaning of those that exist.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oompolicy_agent.victims.event import micro_time, note

if TYPE_CHECKING:
    from oompolicy_agent.mapping.owners import Owner
    from oompolicy_agent.victims.naming import NamedVictim
    from oompolicy_agent.victims.record import Process


def log_of(named: NamedVictim, node: str, realtime_offset_ns: int) -> dict[str, Any]:
    """Return the JSON object of a victim. `message` is the text of the log line for people.

    A key without a value is null: the namespace, pod and container of a process of the host, for example.
    """
    victim, owner = named.victim, named.owner
    spared = None
    if victim.spared:
        badness = None if named.verdict else victim.spared_badness
        rank = {"priority": victim.spared_priority, "badness": badness}
        spared = _process(victim.spared, named.spared_owner) | rank
    return {
        "time": micro_time(victim.boottime_ns + realtime_offset_ns),
        "node": node,
        **_place(owner),
        "process": victim.comm,
        "pid": victim.tgid,
        "priority": victim.priority,
        "policy": named.policy or None,
        "scope": named.scope,
        "mode": victim.mode,
        "comparison": victim.comparison,
        "spared": spared,
        "lookAge": named.verdict.age if named.verdict else None,
        "missed": [_place(each) | {"priority": each.priority} for each in named.verdict.missed]
        if named.verdict
        else [],
        "trigger": _process(victim.trigger, named.trigger_owner) if victim.trigger else None,
        "source": "KernelLog" if victim.logged else "Program",
        "message": note(named, disclose=True),
    }


def _process(process: Process, owner: Owner | None) -> dict[str, Any]:
    return {"process": process.comm, "pid": process.tgid, **_place(owner)}


def _place(owner: Owner | None) -> dict[str, str | None]:
    if owner is None:
        return {"namespace": None, "pod": None, "container": None}
    return {"namespace": owner.namespace or None, "pod": owner.pod or None, "container": owner.container or None}

# SPDX-License-Identifier: Apache-2.0
"""Describe the order of containers as a table for people, and as data for programs. Pure."""

from collections.abc import Sequence
from typing import Any, Final

from oompolicy.cli.table import Table
from oompolicy.oomsettings import Mode
from oompolicy.order.facts import NodeFacts
from oompolicy.order.rank import NODE, Ranked, has_margins, name_of_pod, passed_over

_HEADER: Final = ("#", "NAMESPACE", "POD", "CONTAINER", "PRIORITY", "SOURCE", "MEMORY", "REQUEST")
_MARGIN: Final = "MARGIN"
_KERNEL: Final = "KERNEL"
_WIDE: Final = ("SCORE", "REASON")
_UNITS: Final = ("B", "Ki", "Mi", "Gi", "Ti")
_PASSED_OVER: Final = "passed over: it frees less than minimumVictimMemory"


def heading(facts: NodeFacts) -> str:
    """Return the line that says which choice applies on the node."""
    if facts.time is None:
        return f"{facts.node} · priorities of files, without memory"
    return f"{facts.node} · {facts.backend or 'no report of the loader'} · {_choice(facts)}"


def _choice(facts: NodeFacts) -> str:
    if facts.mode is None:
        return "the mode is not known"
    if facts.mode != Mode.ENFORCE:
        return f"{facts.mode}: the kernel's own choice applies"
    if not facts.enforcing:
        return f"{facts.mode}, but the node does not enforce: the kernel's own choice applies"
    return f"{facts.mode}: the policies choose"


def notes(facts: NodeFacts, scope: str) -> list[str]:
    """Return the sentences about processes that the table does not have."""
    found = []
    if scope == NODE and facts.time is not None:
        found.append(f"Processes outside of pods have the priority {facts.host_priority}.")
    if facts.unlisted:
        pods = "1 pod is" if facts.unlisted == 1 else f"{facts.unlisted} pods are"
        found.append(f"{pods} not listed, because the agent knows no object of that uid.")
    return found


def table(facts: NodeFacts, order: Sequence[Ranked], scope: str, *, wide: bool) -> Table:
    """Return a row of each container, the one that dies next first. A node with scores has the column MARGIN."""
    margins = has_margins(facts, scope)
    header = (*_HEADER, *((_MARGIN,) if margins else ()), _KERNEL, *(_WIDE if wide else ()))
    return Table(header, [_row(facts, each, margins=margins, wide=wide) for each in order])


def _row(facts: NodeFacts, each: Ranked, *, margins: bool, wide: bool) -> tuple[str, ...]:
    one = each.container
    reason = f"{one.reason}; {_PASSED_OVER}" if passed_over(one, facts) else one.reason
    return (
        *(str(each.number), one.namespace, one.pod, one.container or "-"),
        *(str(one.priority), source(each), amount(one.memory), amount(one.memory_request or None)),
        *((amount(one.margin),) if margins else ()),
        "-" if each.kernel is None else str(each.kernel),
        *(("-" if one.score is None else str(one.score), reason) if wide else ()),
    )


def source(each: Ranked) -> str:
    """Return the name of the policy that gives the priority, or the word for another source."""
    one = each.container
    return one.policy if one.source == "policy" and one.policy else one.source


def amount(size: int | None) -> str:
    """Return an amount of memory with three digits, or a dash without one."""
    if size is None:
        return "-"
    value, unit = float(size), 0
    while value >= 1000 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    digits = 0 if value >= 100 else 1
    return f"{value:.{digits}f}".removesuffix(".0") + _UNITS[unit]


def plain(facts: NodeFacts, order: Sequence[Ranked], scope: str) -> dict[str, Any]:
    """Return the order as data of JSON. Memory is in bytes."""
    return {
        "node": facts.node,
        "mode": facts.mode,
        "backend": facts.backend,
        "enforcing": facts.enforcing,
        "scope": scope,
        "time": facts.time,
        "hostPriority": facts.host_priority,
        "tieBreak": facts.tie_break,
        "minimumVictimMemory": facts.minimum_victim_memory,
        "unlistedPods": facts.unlisted,
        "order": [_plain(each) for each in order],
    }


def _plain(each: Ranked) -> dict[str, Any]:
    one = each.container
    return {
        "number": each.number,
        "namespace": one.namespace,
        "pod": one.pod,
        "container": one.container,
        "priority": one.priority,
        "source": one.source,
        "policy": one.policy,
        "reason": one.reason,
        "memory": one.memory,
        "usage": one.usage,
        "memoryRequest": one.memory_request,
        "oomScoreAdj": one.score,
        "margin": one.margin,
        "kernel": each.kernel,
    }


def names(order: Sequence[Ranked]) -> list[str]:
    """Return the pods in the order of their first containers."""
    return list(dict.fromkeys(name_of_pod(each.container) for each in order))

# SPDX-License-Identifier: Apache-2.0
"""Describe assignments as the rows of a table for people, and as data for programs. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from oompolicy.cli.table import Table
from oompolicy.model import Assignment

_HEADER: Final = ("NAMESPACE", "POD", "CONTAINER", "PRIORITY", "REASON")
_Row = tuple[str, str, str, str, str]
Nodes = Mapping[str, str | None]
"""The nodes of pods, by the uids of the pods."""


def table(assignments: Sequence[Assignment]) -> Table:
    """Return a row of each pod, of each container, and of each refusal."""
    return Table(_HEADER, [row for assignment in assignments for row in _rows(assignment)])


def wide_table(assignments: Sequence[Assignment], nodes: Nodes) -> Table:
    """Return the same rows, with the kill scope and the node of each pod before the reason."""
    rows = [
        (*row[:-1], assignment.kill_scope or "-", nodes[assignment.pod_uid] or "-", row[-1])
        for assignment in assignments
        for row in _rows(assignment)
    ]
    return Table((*_HEADER[:-1], "KILLSCOPE", "NODE", _HEADER[-1]), rows)


def name_of(assignment: Assignment) -> str:
    """Return the name of the object as kubectl's `-o name` would, with its namespace."""
    return f"{assignment.kind.lower()}/{assignment.namespace}/{assignment.pod_name}"


def subject(assignment: Assignment) -> str:
    """Return the name of a pod, or the kind and the name of the workload with its template."""
    return assignment.pod_name if assignment.kind == "Pod" else f"{assignment.kind}/{assignment.pod_name}"


def _rows(assignment: Assignment) -> Iterator[_Row]:
    pod = (assignment.namespace, subject(assignment))
    overlap = f"; overlaps {', '.join(assignment.overlapping)}" if assignment.overlapping else ""
    yield *pod, "-", str(assignment.priority), assignment.reason + overlap
    for container in assignment.containers:
        name = container.name if container.kind == "container" else f"{container.name} ({container.kind})"
        yield *pod, name, str(container.priority), container.reason
    for refusal in assignment.refusals:
        yield *pod, "-", "-", f"refused: annotation {refusal.annotation}: {refusal.message}"
    if assignment.more_refusals:
        yield *pod, "-", "-", f"refused: {assignment.more_refusals} more annotations"


def plain(assignment: Assignment, node: str | None) -> dict[str, Any]:
    """Return the assignment as data of JSON. `pod` is the name of an object of `kind`."""
    return {
        "namespace": assignment.namespace,
        "kind": assignment.kind,
        "pod": assignment.pod_name,
        "uid": assignment.pod_uid,
        "node": node,
        "priority": assignment.priority,
        "reason": assignment.reason,
        "source": assignment.source,
        "policy": assignment.policy,
        "killScope": str(assignment.kill_scope) if assignment.kill_scope else None,
        "overlapping": list(assignment.overlapping),
        "containers": [
            {"name": each.name, "kind": each.kind, "priority": each.priority, "reason": each.reason}
            for each in assignment.containers
        ],
        "refusals": [
            {"annotation": each.annotation, "value": each.value, "message": each.message}
            for each in assignment.refusals
        ],
        "moreRefusals": assignment.more_refusals,
    }

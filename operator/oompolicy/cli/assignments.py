# SPDX-License-Identifier: Apache-2.0
"""Describe assignments as the rows of a table for people, and as data for programs. Pure."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from oompolicy.cli.table import Table
from oompolicy.model import Assignment

_HEADER: Final = ("NAMESPACE", "POD", "CONTAINER", "PRIORITY", "REASON")
_Row = tuple[str, str, str, str, str]


def table(assignments: Sequence[Assignment]) -> Table:
    """Return a row of each pod, of each container, and of each refusal."""
    return Table(_HEADER, [row for assignment in assignments for row in _rows(assignment)])


def _rows(assignment: Assignment) -> Iterator[_Row]:
    pod = (assignment.namespace, assignment.pod_name)
    overlap = f"; overlaps {', '.join(assignment.overlapping)}" if assignment.overlapping else ""
    yield *pod, "-", str(assignment.priority), assignment.reason + overlap
    for container in assignment.containers:
        name = container.name if container.kind == "container" else f"{container.name} ({container.kind})"
        yield *pod, name, str(container.priority), container.reason
    for refusal in assignment.refusals:
        yield *pod, "-", "-", f"refused: annotation {refusal.annotation}: {refusal.message}"
    if assignment.more_refusals:
        yield *pod, "-", "-", f"refused: {assignment.more_refusals} more annotations"


def plain(assignment: Assignment) -> dict[str, Any]:
    """Return the assignment as data of JSON."""
    return {
        "namespace": assignment.namespace,
        "pod": assignment.pod_name,
        "uid": assignment.pod_uid,
        "priority": assignment.priority,
        "reason": assignment.reason,
        "source": assignment.source,
        "policy": assignment.policy,
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

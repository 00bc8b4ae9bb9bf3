# SPDX-License-Identifier: Apache-2.0
"""Print assignments as a table for people, or as JSON or YAML for programs."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final, Literal

import yaml

from oompolicy.model import Assignment

Format = Literal["table", "json", "yaml"]
_HEADER: Final = ("NAMESPACE", "POD", "CONTAINER", "PRIORITY", "REASON")
_Row = tuple[str, str, str, str, str]


def formatted(assignments: Sequence[Assignment], output: Format) -> str:
    """Return the text to print, with its last newline."""
    if output == "table":
        return _table([_HEADER, *(row for assignment in assignments for row in _rows(assignment))])
    plain = [_plain(assignment) for assignment in assignments]
    if output == "json":
        return json.dumps(plain, indent=2, ensure_ascii=False) + "\n"
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=200)


def _rows(assignment: Assignment) -> Iterator[_Row]:
    """Yield the row of the pod, of each container, and of each refusal. A dash stands for a missing value."""
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


def _table(rows: Sequence[_Row]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("   ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(lines) + "\n"


def _plain(assignment: Assignment) -> dict[str, Any]:
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

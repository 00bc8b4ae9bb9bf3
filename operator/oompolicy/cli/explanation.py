# SPDX-License-Identifier: Apache-2.0
"""Gather the answer to "why does this pod have this priority", and describe it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import zip_longest
from typing import Any, Final

from oompolicy.cli import assignments, held, nodereports, victimlist
from oompolicy.cli.held import Held
from oompolicy.cli.table import Table
from oompolicy.cli.victimlist import Victim
from oompolicy.model import Assignment, Pod
from oompolicy.resolve.explain import Verdict

_DIFFERS: Final = "differs"
_RESULTS: Final = {"applies": "applies", "outranked": "matches, but", "nearly": "nearly", _DIFFERS: "no match"}


@dataclass(frozen=True, slots=True)
class Explanation:
    """The pod, its assignment, the verdict of each policy, its victims, the report of its node, and what that holds."""

    pod: Pod
    assignment: Assignment
    verdicts: Sequence[Verdict]
    node: dict[str, Any] | None
    victims: Sequence[Victim]
    held: Held

    def plain(self) -> dict[str, Any]:
        """Return the explanation as data of JSON."""
        whole = assignments.plain(self.assignment, self.pod.node_name)
        return {
            **whole,
            "containers": [{**each, "held": held.plain(self.held, each["name"])} for each in whole["containers"]],
            "heldIn": self.held.where,
            "heldProblem": self.held.problem or None,
            "qosClass": str(self.pod.qos_class),
            "priorityClassName": self.pod.priority_class_name,
            "policies": [
                {"name": each.policy, "precedence": each.precedence, "result": each.outcome, "why": list(each.reasons)}
                for each in self.verdicts
            ],
            "nodeStatus": self.node,
            "victims": [victimlist.plain(each) for each in self.victims],
        }


def containers(found: Explanation) -> Table:
    """Return the priority of the pod and of each container, and each annotation that is refused.

    A container also has the priority that the node holds, if that is known.
    """
    more = held.header(found.held)
    subjects = [None, *(each.name for each in found.assignment.containers)]
    whole = assignments.table([found.assignment])
    rows = []
    for name, row in zip_longest(subjects, whole.rows):
        cells = held.cells(found.held, name) if name is not None else ("-",) * len(more)
        rows.append((*row[2:4], *cells, row[4]))
    return Table((*whole.header[2:4], *more, whole.header[4]), rows)


def policies(found: Explanation, *, everything: bool) -> Table:
    """Return a row of each policy that matches or nearly does, or of each policy."""
    rows = [
        (each.policy, str(each.precedence), _RESULTS[each.outcome], "; ".join(each.reasons) or "-")
        for each in found.verdicts
        if everything or each.outcome != _DIFFERS
    ]
    return Table(("POLICY", "PRECEDENCE", "RESULT", "WHY"), rows)


def hidden(found: Explanation) -> str:
    """Return the sentence about policies that `policies` leaves out, which is empty without any."""
    number = sum(each.outcome == _DIFFERS for each in found.verdicts)
    if not number:
        return ""
    return f"{number} other {'policy does' if number == 1 else 'policies do'} not match. To see why, add -o wide"


def node(found: Explanation, now: datetime, *, wide: bool) -> Table:
    """Return the row of the pod's node."""
    return nodereports.table([found.node] if found.node else [], now, wide=wide)


def heading(found: Explanation) -> str:
    """Return the first line: the pod with the classes that policies select by, and the kill scope of its policy."""
    pod = found.pod
    named = f"PriorityClass {pod.priority_class_name}" if pod.priority_class_name else "no PriorityClass"
    scope = f", killScope {found.assignment.kill_scope}" if found.assignment.kill_scope else ""
    return f"Pod {pod.namespace}/{pod.name}: QoS class {pod.qos_class}, {named}{scope}"

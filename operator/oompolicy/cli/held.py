# SPDX-License-Identifier: Apache-2.0
"""Compare the wanted priorities of a pod with those that its node holds. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from oompolicy.cli.table import printable
from oompolicy.model import Assignment
from oompolicy.order.facts import Holding, NodeFacts, Running

_UNKNOWN: Final = "The priorities that the node holds are not known: "
_NO_CONTAINER: Final = "the agent of the node sees no running container of this pod"
_NOT_SEEN: Final = "the agent has not seen the change yet"
_NOT_WRITTEN: Final = {
    Holding.ENTRIES: "the agent has not written it into the map yet",
    Holding.SCORES: "the adjuster has not written its score yet",
}


@dataclass(frozen=True, slots=True)
class Kept:
    """The priority that the node holds for one container, and its score on a node with scores. None is no priority.

    `differs` says why it is not the wanted one, and is empty if it is.
    """

    container: str
    priority: int | None
    score: int | None
    differs: str = ""


@dataclass(frozen=True, slots=True)
class Held:
    """The priorities that the node holds for the containers of a pod that run.

    `where` is None if they are not known. `problem` says why, or what is wrong with them.
    """

    where: Holding | None = None
    containers: Sequence[Kept] = ()
    problem: str = ""

    def of(self, container: str) -> Kept | None:
        """Return what the node holds for a container, or None if it does not run or nothing is known."""
        return next((each for each in self.containers if each.container == container), None)


def held(facts: NodeFacts, assignment: Assignment) -> Held:
    """Return what the answer of an agent says about a pod."""
    if facts.holding is None:
        return Held(problem=facts.held_problem or "the agent does not say why")
    pod = (assignment.namespace, assignment.pod_name)
    rows = [each for each in facts.containers if (each.namespace, each.pod) == pod]
    running = {each.container: each for each in rows if each.uid in (None, assignment.pod_uid)}
    if not running:
        return Held(problem=_NO_CONTAINER)
    where = Holding(facts.holding)
    # Until the kubelet reports the containers, the agent knows the pod as a whole.
    found = [
        Kept(each.name, row.held, row.held_score, _difference(row, each.priority, where))
        for each in assignment.containers
        if (row := running.get(each.name) or running.get(None))
    ]
    return Held(where, found, facts.held_problem)


def notes(found: Held) -> list[str]:
    """Return a sentence for each difference, and one about the problem."""
    late = [each for each in found.containers if each.differs]
    lines = [f"{each.container}: held by the node: {_priority(each)} (differs, {each.differs})" for each in late]
    if found.problem:
        lines.append(found.problem if found.where else f"{_UNKNOWN}{found.problem}")
    return [printable(each) for each in lines]


def cells(found: Held, container: str) -> tuple[str, ...]:
    """Return the cells of a container below `header`."""
    kept = found.of(container)
    priority = "-" if kept is None else f"{_priority(kept)} (differs)" if kept.differs else _priority(kept)
    score = "-" if kept is None or kept.score is None else str(kept.score)
    return (priority, score)[: len(header(found))]


def header(found: Held) -> tuple[str, ...]:
    """Return the columns. Only a node with scores has SCORE, and without an answer there is none."""
    return () if found.where is None else ("HELD",) if found.where is Holding.ENTRIES else ("HELD", "SCORE")


def plain(found: Held, container: str) -> dict[str, Any] | None:
    """Return what the node holds for a container as data of JSON."""
    kept = found.of(container)
    if kept is None:
        return None
    return {"priority": kept.priority, "score": kept.score, "differs": kept.differs or None}


def _difference(row: Running, wanted: int, where: Holding) -> str:
    if row.held == wanted:
        return ""
    return _NOT_SEEN if row.priority != wanted else _NOT_WRITTEN[where]


def _priority(kept: Kept) -> str:
    return "none" if kept.priority is None else str(kept.priority)

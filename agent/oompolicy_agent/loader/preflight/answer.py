# SPDX-License-Identifier: Apache-2.0
"""Decide from all checks how this node can enforce priorities. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from oompolicy_agent.loader.hook import Hook
from oompolicy_agent.loader.preflight.check import Verdict, Way

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from oompolicy_agent.loader.preflight.check import Check
    from oompolicy_agent.loader.preflight.facts import Facts


class Order(StrEnum):
    """How a node can obey priorities, the best first."""

    EXACT = "exact"
    SCORES = "by scores"
    OBSERVES = "observes"
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Answer:
    """The order, and the reason as the rest of a sentence."""

    order: Order
    because: str

    def __str__(self) -> str:
        """Return the last line of the table."""
        return f"{self.order}, because {self.because}"


def answer(facts: Facts, rows: Sequence[Check]) -> Answer:
    """Return the best that this node can do, and why not better."""
    why_not_exact = _first(rows, Way.ATTACH) or _without_hook(facts, rows)
    if why_not_exact is None:
        needed = (Way.ATTACH,) if facts.node.hook is not Hook.NONE else (Way.ATTACH, Way.LOAD)
        return Answer(Order.EXACT, _reason(facts) + _doubt(rows, needed))
    if _first(rows, Way.SCORES) is None:
        return Answer(Order.SCORES, why_not_exact)
    if _first(rows, Way.ATTACH) is None or _first(rows, Way.LOG) is None:
        return Answer(Order.OBSERVES, f"{why_not_exact}; and {_first(rows, Way.SCORES)}")
    return Answer(Order.NOTHING, why_not_exact)


def _without_hook(facts: Facts, rows: Sequence[Check]) -> str | None:
    """Return why no module can add the hook, or None if there is a hook or a module can add it."""
    if facts.node.hook is not Hook.NONE:
        return None
    if refused := _first(rows, Way.LOAD):
        return refused
    return None if facts.offered else _first(rows, Way.BUILD)


def _reason(facts: Facts) -> str:
    if facts.node.hook is Hook.KERNEL:
        return "this kernel has the hook"
    if facts.node.hook is Hook.MODULE:
        return "the hook's module is loaded"
    if facts.offered:
        return f"{facts.offered.file} can add the hook"
    return "the hook's module can be built and loaded"


def _doubt(rows: Iterable[Check], needed: Iterable[Way]) -> str:
    names = [each.name for each in rows if each.verdict is Verdict.UNKNOWN and each.ways.intersection(needed)]
    return f", unless one of these forbids it, which are unknown here: {', '.join(names)}" if names else ""


def _first(rows: Iterable[Check], way: Way) -> str | None:
    """Return the consequence of the first check that rules out this way, or None."""
    return next((each.consequence for each in rows if each.verdict is Verdict.NO and way in each.ways), None)

# SPDX-License-Identifier: Apache-2.0
"""Finds the nodes that do not do what their mode says, with the reason in their OOMNodes. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_BY_MODE: Final = ("Audit", "Off")
"""The reasons of the condition Enforcing on a node that does not enforce because its mode says so."""


def shortcomings(
    nodes: Iterable[str], oomnodes: Iterable[Mapping[str, Any]], *, observing_is_enough: bool
) -> Iterator[str]:
    """Yield a sentence for each of `nodes` that is not ready, or cannot enforce.

    A node in the mode Audit or Off could enforce. If `observing_is_enough`, a node need not be able to.
    """
    known = {each["metadata"]["name"]: each for each in oomnodes}
    for node in sorted(nodes):
        found = _shortcoming(known.get(node), observing_is_enough=observing_is_enough)
        if found:
            yield f"{node}: {found}"


def _shortcoming(oomnode: Mapping[str, Any] | None, *, observing_is_enough: bool) -> str | None:
    if oomnode is None:
        return "there is no OOMNode, which the operator creates: read the operator's log"
    conditions = {each["type"]: each for each in (oomnode.get("status") or {}).get("conditions") or ()}
    if not conditions:
        return "the agent has not reported anything yet: read the agent's log"
    for kind, means in (("Ready", "not ready"), ("Enforcing", "does not enforce")):
        if kind == "Enforcing" and observing_is_enough:
            continue
        condition = conditions.get(kind, {})
        if kind == "Enforcing" and condition.get("reason") in _BY_MODE:
            continue
        if condition.get("status") != "True":
            return f"{means}: {condition.get('message') or 'no reason given'}"
    return None

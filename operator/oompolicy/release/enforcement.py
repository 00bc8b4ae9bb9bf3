# SPDX-License-Identifier: Apache-2.0
"""What nodes say of themselves in their OOMNodes: who does not enforce, and why. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


def shortcomings(
    nodes: Iterable[str], oomnodes: Iterable[Mapping[str, Any]], *, observing_is_enough: bool
) -> Iterator[str]:
    """A sentence for each of `nodes` that is not as it should be."""
    known = {each["metadata"]["name"]: each for each in oomnodes}
    for node in sorted(nodes):
        found = _shortcoming(known.get(node), observing_is_enough=observing_is_enough)
        if found:
            yield f"{node}: {found}"


def _shortcoming(oomnode: Mapping[str, Any] | None, *, observing_is_enough: bool) -> str:
    if oomnode is None:
        return "there is no OOMNode, which the operator creates: look at its log"
    conditions = {each["type"]: each for each in (oomnode.get("status") or {}).get("conditions") or ()}
    if not conditions:
        return "the agent has not said anything yet: look at its log"
    for kind, means in (("Ready", "not ready"), ("Enforcing", "does not enforce")):
        if kind == "Enforcing" and observing_is_enough:
            continue
        condition = conditions.get(kind, {})
        if condition.get("status") != "True":
            return f"{means}: {condition.get('message') or 'no reason given'}"
    return ""

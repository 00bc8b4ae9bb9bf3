# SPDX-License-Identifier: Apache-2.0
"""All Nodes and what their OOMNodes say."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

UNKNOWN: Final = "Unknown"
"""The backend of a node whose agent has not said anything yet."""


class Said(NamedTuple):
    """What counts of one OOMNode."""

    name: str
    backend: str
    policy_hash: str


class NodeTable:
    """Nodes by uid with their names, OOMNodes by uid."""

    def __init__(self) -> None:
        """Empty."""
        self.nodes: dict[str, str] = {}
        self.said: dict[str, Said] = {}

    def without_oomnode(self) -> Iterator[tuple[str, str]]:
        """Name and uid of each Node that has no OOMNode.

        That of a Node that went and came back under its name is still there until the garbage collector has taken
        it, since its owner is gone; then it is missing.
        """
        there = {said.name for said in self.said.values()}
        return ((name, uid) for uid, name in self.nodes.items() if name not in there)

    def hashes(self) -> Mapping[str, int]:
        """The number of nodes by the hash of the policies they apply."""
        return Counter(said.policy_hash for said in self._of_nodes())

    def backends(self) -> Mapping[str, int]:
        """The number of nodes by backend."""
        counted = Counter(said.backend or UNKNOWN for said in self._of_nodes())
        counted[UNKNOWN] += len(self.nodes) - counted.total()
        return counted

    def _of_nodes(self) -> Iterator[Said]:
        names = set(self.nodes.values())
        return (said for said in self.said.values() if said.name in names)

# SPDX-License-Identifier: Apache-2.0
"""All Nodes and the reports in their OOMNodes."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

UNKNOWN: Final = "Unknown"
"""The backend of a node without a report by its agent."""


class NodeReport(NamedTuple):
    """The relevant part of one OOMNode. `backend` and `policy_hash` are empty until the agent has reported them."""

    name: str
    backend: str
    policy_hash: str


class NodeTable:
    """The names of Nodes by uid, and the reports of OOMNodes by uid."""

    def __init__(self) -> None:
        self.nodes: dict[str, str] = {}
        self.reports: dict[str, NodeReport] = {}

    def without_oomnode(self) -> Iterator[tuple[str, str]]:
        """Return the name and uid of each Node that has no OOMNode.

        After a Node is deleted and created again under the same name, its old OOMNode exists until the garbage
        collector deletes it. Only then is the OOMNode missing.
        """
        reported = {report.name for report in self.reports.values()}
        return ((name, uid) for uid, name in self.nodes.items() if name not in reported)

    def hashes(self) -> Mapping[str, int]:
        """Return the number of nodes by the hash of the policies that they apply."""
        return Counter(report.policy_hash for report in self._reports_of_nodes())

    def backends(self) -> Mapping[str, int]:
        """Return the number of nodes by backend."""
        counted = Counter(report.backend or UNKNOWN for report in self._reports_of_nodes())
        counted[UNKNOWN] += len(self.nodes) - counted.total()
        return counted

    def _reports_of_nodes(self) -> Iterator[NodeReport]:
        names = set(self.nodes.values())
        return (report for report in self.reports.values() if report.name in names)

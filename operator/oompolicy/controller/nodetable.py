# SPDX-License-Identifier: Apache-2.0
"""All Nodes and the reports in their OOMNodes."""

from __future__ import annotations

from collections import Counter
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from oompolicy.controller.heartbeats import Heartbeat, SilentReason
from oompolicy.oomsettings import Mode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

UNKNOWN: Final = "Unknown"
"""The backend of a node without a report by its agent, or with a report that is out of date."""

_SILENT: Final = frozenset(SilentReason)


class Node(NamedTuple):
    """The relevant part of one Node. `boot_id` is empty until the kubelet has reported it."""

    name: str
    boot_id: str = ""
    labels: Mapping[str, str] = MappingProxyType({})


class NodeCondition(NamedTuple):
    """A condition of an OOMNode, without its message."""

    type: str
    status: str
    reason: str
    since: str


class NodeSpec(NamedTuple):
    """`spec.mode` of an OOMNode. `own` is True if the operator owns the field, and `others` are all other owners."""

    mode: str = ""
    own: bool = False
    others: tuple[str, ...] = ()


class NodeReport(NamedTuple):
    """The relevant part of one OOMNode. All but the name and the spec is empty until the agent has reported."""

    name: str
    backend: str
    policy_hash: str
    conditions: tuple[NodeCondition, ...] = ()
    heartbeat: Heartbeat = Heartbeat()
    version: str = ""  # changes with each write
    mode: str = ""
    spec: NodeSpec = NodeSpec()

    @property
    def marked(self) -> bool:
        """True if the operator has marked the agent as silent, and the agent has not reported since."""
        return any(each.status == UNKNOWN and each.reason in _SILENT for each in self.conditions)

    def marked_with(self, reason: SilentReason) -> bool:
        """Return True if no condition claims anything, and each has this reason."""
        return all((each.status, each.reason) == (UNKNOWN, reason) for each in self.conditions)

    def says_the_same(self, other: NodeReport | None) -> bool:
        """Return True if `other` differs by nothing but its heartbeat."""
        return other is not None and self == other._replace(heartbeat=self.heartbeat, version=self.version)


class NodeTable:
    """The names of Nodes by uid, and the reports of OOMNodes by uid."""

    def __init__(self) -> None:
        self.nodes: dict[str, str] = {}
        self.reports: dict[str, NodeReport] = {}
        self.judged: Mapping[str, SilentReason] = {}  # by name: the OOMNodes whose agents are silent

    def without_oomnode(self) -> Iterator[tuple[str, str]]:
        """Return the name and uid of each Node that has no OOMNode.

        After a Node is deleted and created again under the same name, its old OOMNode exists until the garbage
        collector deletes it. Only then is the OOMNode missing.
        """
        reported = {report.name for report in self.reports.values()}
        return ((name, uid) for uid, name in self.nodes.items() if name not in reported)

    def unmarked(self) -> Iterator[tuple[str, SilentReason]]:
        """Return the uid of each OOMNode whose conditions do not say yet that the agent is silent, and the reason."""
        for uid, report in self.reports.items():
            reason = self.judged.get(report.name)
            if reason and not report.marked_with(reason):
                yield uid, reason

    def silent(self) -> int:
        """Return the number of nodes whose agents are silent."""
        return sum(1 for _ in self.silent_nodes())

    def hashes(self) -> Mapping[str, int]:
        """Return the number of nodes by the hash of the policies that they apply. An unknown hash is empty."""
        return Counter("" if self._silent(each) else each.policy_hash for each in self._reports_of_nodes())

    def backends(self) -> Mapping[str, int]:
        """Return the number of nodes by backend."""
        reports = self._reports_of_nodes()
        counted = Counter(UNKNOWN if self._silent(each) else each.backend or UNKNOWN for each in reports)
        counted[UNKNOWN] += len(self.nodes) - counted.total()
        return counted

    def modes(self) -> Mapping[str, int]:
        """Return the number of nodes by the mode that they report."""
        reports = self._reports_of_nodes()
        counted = Counter(UNKNOWN if self._silent(each) else each.mode or UNKNOWN for each in reports)
        counted[UNKNOWN] += len(self.nodes) - counted.total()
        return {**dict.fromkeys(Mode, 0), **counted}

    def reports_of_nodes(self) -> Iterator[tuple[str, NodeReport]]:
        """Return the uid and the report of each OOMNode whose Node exists."""
        names = set(self.nodes.values())
        return ((uid, report) for uid, report in self.reports.items() if report.name in names)

    def silent_nodes(self) -> Iterator[str]:
        """Return the names of the nodes whose agents are silent."""
        return (report.name for report in self._reports_of_nodes() if self._silent(report))

    def _silent(self, report: NodeReport) -> bool:
        # The mark counts too, because an operator that has just started has judged nothing yet.
        return report.marked or report.name in self.judged

    def _reports_of_nodes(self) -> Iterator[NodeReport]:
        return (report for _, report in self.reports_of_nodes())

# SPDX-License-Identifier: Apache-2.0
"""The operator's state of the cluster, and the conclusions from it. Only the loop's thread uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from oompolicy.controller.census import Census
from oompolicy.controller.heartbeats import Heartbeats
from oompolicy.controller.modetable import ModeTable
from oompolicy.controller.nodetable import NodeTable
from oompolicy.controller.policystatus import PolicyCounts
from oompolicy.controller.policytable import PolicyTable
from oompolicy.labels import LabelFilter

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from oompolicy.controller.heartbeats import SilentReason
    from oompolicy.controller.matcher import Shape
    from oompolicy.controller.nodetable import Node, NodeReport

    Labels = tuple[str, Mapping[str, str]]

_COLLECTIONS: Final = frozenset({"policies", "pods", "namespaces", "nodes", "oomnodes"})


class State:
    """All objects that the operator reads. Changes are only recorded until `evaluate` is called."""

    def __init__(self, silent_after: float = float("inf")) -> None:
        """Begin without any object. An agent without a heartbeat for `silent_after` seconds is silent."""
        self.policies = PolicyTable()
        self.census = Census()
        self.nodes = NodeTable()
        self.heartbeats = Heartbeats(silent_after)
        self.modes = ModeTable()
        self.label_filter = LabelFilter()
        self.missing: dict[str, str] = {}  # the uids of Nodes without an OOMNode, by name
        self.unmarked: dict[str, SilentReason] = {}  # the OOMNodes by uid that have to be marked as silent, and why
        self.silent = 0  # the number of nodes whose agents are silent
        self.hashes: Mapping[str, int] = {}  # the number of nodes by the hash of the policies that they apply
        self.backends: Mapping[str, int] = {}  # the number of nodes by backend
        self.by_mode: Mapping[str, int] = {}  # the number of nodes by mode
        self._listed: set[str] = set()
        self._touched: set[str] = set()
        self._policies_changed = False
        self._nodes_changed = False
        self._modes_changed = False
        self._namespaces: dict[str, str] = {}

    def __str__(self) -> str:
        census = self.census
        pods = f"{census.pods} pods of {census.shapes} shapes"
        return f"{len(self.policies.records)} policies, {pods}, {len(self.nodes.nodes)} nodes"

    @property
    def unlisted(self) -> frozenset[str]:
        """The collections without a complete list yet. Until this is empty, the conclusions may be wrong."""
        return _COLLECTIONS - self._listed

    def policy(self, raw: Mapping[str, Any]) -> None:
        """Record a policy that was added or changed, even if only its status changed."""
        self._touched.add(raw["metadata"]["name"])
        self._policies_changed |= self.policies.put(raw)

    def policy_deleted(self, name: str, uid: str) -> None:
        """Record that a policy was deleted."""
        self._touched.add(name)
        self._policies_changed |= self.policies.drop(name, uid)

    def policies_listed(self, raws: Iterable[Mapping[str, Any]], known_before: Iterable[str]) -> None:
        """Record all policies of a list. The uids `known_before` were known when the list was requested."""
        listed = set()
        for raw in raws:
            listed.add(raw["metadata"]["uid"])
            self.policy(raw)
        # A policy that was added since the request may be missing from the list.
        gone = set(known_before) - listed
        for record in [record for record in self.policies.records.values() if record.uid in gone]:
            self.policy_deleted(record.name, record.uid)
        self._listed.add("policies")

    def settings(self, raw: Mapping[str, Any]) -> None:
        """Record OOMSettings that were added or changed, even if only their status changed."""
        self._modes_changed |= self.modes.settings.put(raw)

    def settings_deleted(self, uid: str) -> None:
        """Record that OOMSettings were deleted."""
        self._modes_changed |= self.modes.settings.drop(uid)

    def settings_listed(self, raws: Iterable[Mapping[str, Any]], known_before: str) -> None:
        """Record a list of OOMSettings. The uid `known_before` was known when the list was requested."""
        self._modes_changed |= self.modes.settings.replace(raws, known_before)

    def pods_listed(self, pods: Mapping[str, Shape | None]) -> None:
        """Record the shapes of all pods by uid."""
        self.census.replace_pods(pods)
        self._listed.add("pods")

    def namespaces_listed(self, namespaces: Mapping[str, Labels]) -> None:
        """Record the names and labels of all namespaces by uid."""
        self._namespaces = {uid: name for uid, (name, _) in namespaces.items()}
        self.census.replace_namespaces(dict(namespaces.values()))
        self._listed.add("namespaces")

    def namespace(self, uid: str, namespace: Labels) -> None:
        """Record a namespace that was added or changed."""
        name, labels = namespace
        self._namespaces[uid] = name
        self.census.put_namespace(name, labels)

    def namespace_deleted(self, uid: str) -> None:
        """Record that a namespace was deleted."""
        if name := self._namespaces.pop(uid, ""):
            self.census.put_namespace(name, None)

    def nodes_listed(self, nodes: Mapping[str, Node]) -> None:
        """Record all Nodes by uid."""
        for uid in [uid for uid in self.nodes.nodes if uid not in nodes]:
            self.node_deleted(uid)
        for uid, node in nodes.items():
            self.node(uid, node)
        self._nodes_changed = True
        self._listed.add("nodes")

    def node(self, uid: str, node: Node) -> None:
        """Record a Node that was added or changed. Every Node changes every few minutes."""
        self._nodes_changed |= uid not in self.nodes.nodes
        self.nodes.nodes[uid] = node.name
        self._modes_changed |= self.modes.node(node.name, node.labels)
        self.heartbeats.node(node.name, node.boot_id)

    def node_deleted(self, uid: str) -> None:
        """Record that a Node was deleted."""
        if (name := self.nodes.nodes.pop(uid, None)) is not None:
            self._nodes_changed = True
            self.heartbeats.node_deleted(name)
            self.modes.node_deleted(name)

    def oomnodes_listed(self, reports: Mapping[str, NodeReport]) -> None:
        """Record the reports of all OOMNodes by uid."""
        for uid in [uid for uid in self.nodes.reports if uid not in reports]:
            self.oomnode_deleted(uid)
        for uid, report in reports.items():
            self.oomnode(uid, report)
        self._nodes_changed = True
        self._listed.add("oomnodes")

    def oomnode(self, uid: str, report: NodeReport) -> None:
        """Record an OOMNode that was added or changed. Every OOMNode changes every few minutes, by its heartbeat."""
        before = self.nodes.reports.get(uid)
        # The mark of a silent agent is written on a certain version, so it has to be built again for a new one.
        self._nodes_changed |= not report.says_the_same(before) or report.name in self.nodes.judged
        self.nodes.reports[uid] = report
        self.heartbeats.oomnode(report.name, report.heartbeat)

    def oomnode_deleted(self, uid: str) -> None:
        """Record that an OOMNode was deleted."""
        if (report := self.nodes.reports.pop(uid, None)) is not None:
            self._nodes_changed = True
            self.heartbeats.oomnode_deleted(report.name)

    def evaluate(self) -> set[str]:
        """Draw the conclusions from all recorded changes.

        Return the policies with a status that may have changed since the last call. Deleted policies are included.
        """
        touched, self._touched = self._touched, set()
        before = self.hashes
        if self.heartbeats.changed() or self._nodes_changed:
            self._modes_changed = True
            self.nodes.judged = self.heartbeats.silent
            self.missing = dict(self.nodes.without_oomnode())
            self.unmarked, self.silent = dict(self.nodes.unmarked()), self.nodes.silent()
            self.hashes, self.backends, self.by_mode = self.nodes.hashes(), self.nodes.backends(), self.nodes.modes()
        if self._modes_changed:
            self.modes.evaluate(self.nodes.reports_of_nodes(), self.nodes.silent_nodes())
        if self._policies_changed:
            self.census.put_policies(self.policies.valid)
            self.label_filter.set_policies(self.policies.valid)
        # Nodes may have applied a set of policies before the operator knew it.
        if self._policies_changed or self.hashes != before:
            touched |= set(self.policies.records)
        self._policies_changed = self._nodes_changed = self._modes_changed = False
        return touched | self.census.changed()

    def counts(self, name: str) -> PolicyCounts:
        """Return the counts and overlaps of a known policy."""
        return PolicyCounts(
            self.census.matched(name),
            self.census.decided(name),
            self.policies.applied(name, self.hashes),
            self.census.overlapping(name),
        )

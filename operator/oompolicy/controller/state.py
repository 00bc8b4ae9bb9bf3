# SPDX-License-Identifier: Apache-2.0
"""The operator's state of the cluster, and the conclusions from it. Only the loop's thread uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from oompolicy.controller.census import Census
from oompolicy.controller.nodetable import NodeReport, NodeTable
from oompolicy.controller.policystatus import PolicyCounts
from oompolicy.controller.policytable import PolicyTable
from oompolicy.labels import AskedLabels

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from oompolicy.controller.matcher import Shape

    Labels = tuple[str, Mapping[str, str]]

_COLLECTIONS: Final = frozenset({"policies", "pods", "namespaces", "nodes", "oomnodes"})


class State:
    """Policies, pods, namespaces, Nodes and OOMNodes. Changes are only recorded until `evaluate` is called."""

    def __init__(self) -> None:
        self.policies = PolicyTable()
        self.census = Census()
        self.nodes = NodeTable()
        self.asked = AskedLabels()
        self.missing: dict[str, str] = {}  # the uids of Nodes without an OOMNode, by name
        self.hashes: Mapping[str, int] = {}  # the number of nodes by the hash of the policies that they apply
        self.backends: Mapping[str, int] = {}  # the number of nodes by backend
        self._listed: set[str] = set()
        self._touched: set[str] = set()
        self._policies_changed = False
        self._nodes_changed = False
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

    def nodes_listed(self, nodes: dict[str, str]) -> None:
        """Record the names of all Nodes by uid."""
        self.nodes.nodes = nodes
        self._nodes_changed = True
        self._listed.add("nodes")

    def node(self, uid: str, name: str) -> None:
        """Record a Node that was added or changed. Every Node changes every few minutes."""
        self._nodes_changed |= uid not in self.nodes.nodes
        self.nodes.nodes[uid] = name

    def node_deleted(self, uid: str) -> None:
        """Record that a Node was deleted."""
        self._nodes_changed |= self.nodes.nodes.pop(uid, None) is not None

    def oomnodes_listed(self, reports: dict[str, NodeReport]) -> None:
        """Record the reports of all OOMNodes by uid."""
        self.nodes.reports = reports
        self._nodes_changed = True
        self._listed.add("oomnodes")

    def oomnode(self, uid: str, report: NodeReport) -> None:
        """Record an OOMNode that was added or changed."""
        self._nodes_changed |= self.nodes.reports.get(uid) != report
        self.nodes.reports[uid] = report

    def oomnode_deleted(self, uid: str) -> None:
        """Record that an OOMNode was deleted."""
        self._nodes_changed |= self.nodes.reports.pop(uid, None) is not None

    def evaluate(self) -> set[str]:
        """Draw the conclusions from all recorded changes.

        Return the policies with a status that may have changed since the last call. Deleted policies are included.
        """
        touched, self._touched = self._touched, set()
        before = self.hashes
        if self._nodes_changed:
            self.missing = dict(self.nodes.without_oomnode())
            self.hashes, self.backends = self.nodes.hashes(), self.nodes.backends()
        if self._policies_changed:
            self.census.put_policies(self.policies.valid)
            self.asked.ask(self.policies.valid)
        # Nodes may have applied a set of policies before the operator knew it.
        if self._policies_changed or self.hashes != before:
            touched |= set(self.policies.records)
        self._policies_changed = self._nodes_changed = False
        return touched | self.census.changed()

    def counts(self, name: str) -> PolicyCounts:
        """Return the counts and overlaps of a known policy."""
        matched, overlapping = self.census.matched(name), self.census.overlapping(name)
        return PolicyCounts(matched, self.policies.applied(name, self.hashes), overlapping)

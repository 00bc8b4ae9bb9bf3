# SPDX-License-Identifier: Apache-2.0
"""All that the operator knows of the cluster, and what follows from it. Only the loop's thread touches it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from oompolicy.controller.census import Census
from oompolicy.controller.nodetable import NodeTable, Said
from oompolicy.controller.policystatus import Found
from oompolicy.controller.policytable import PolicyTable
from oompolicy.labels import AskedLabels

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from oompolicy.controller.matcher import Shape

    Labels = tuple[str, Mapping[str, str]]

_COLLECTIONS: Final = frozenset({"policies", "pods", "namespaces", "nodes", "oomnodes"})


class State:
    """Policies, pods, namespaces, Nodes and OOMNodes. What comes in is only noted; `look` draws the conclusions."""

    def __init__(self) -> None:
        """Nothing is known yet."""
        self.policies = PolicyTable()
        self.census = Census()
        self.nodes = NodeTable()
        self.asked = AskedLabels()
        self.missing: dict[str, str] = {}  # Nodes without an OOMNode: name -> uid
        self.hashes: Mapping[str, int] = {}  # number of nodes by the hash of the policies they apply
        self.backends: Mapping[str, int] = {}  # number of nodes by how they enforce
        self._listed: set[str] = set()
        self._touched: set[str] = set()
        self._policies_changed = False
        self._nodes_changed = False
        self._namespaces: dict[str, str] = {}

    def __str__(self) -> str:
        census = self.census
        pods = f"{census.pods} pods of {census.shapes} shapes"
        return f"{len(self.policies.known)} policies, {pods}, {len(self.nodes.nodes)} nodes"

    @property
    def unlisted(self) -> frozenset[str]:
        """The collections of which there has been no whole list: until it is empty, nothing that is said is true."""
        return _COLLECTIONS - self._listed

    def policy(self, raw: Mapping[str, Any]) -> None:
        """A policy was added or changed, if only its status."""
        self._touched.add(raw["metadata"]["name"])
        self._policies_changed |= self.policies.put(raw)

    def policy_deleted(self, name: str, uid: str) -> None:
        """A policy is gone."""
        self._touched.add(name)
        self._policies_changed |= self.policies.drop(name, uid)

    def policies_listed(self, raws: Iterable[Mapping[str, Any]], known_before: Iterable[str]) -> None:
        """All policies, by a list that was asked for when the uids `known_before` were known."""
        there = set()
        for raw in raws:
            there.add(raw["metadata"]["uid"])
            self.policy(raw)
        # One that came since then may be missing from the list.
        gone = set(known_before) - there
        for known in [known for known in self.policies.known.values() if known.uid in gone]:
            self.policy_deleted(known.name, known.uid)
        self._listed.add("policies")

    def pods_listed(self, pods: Mapping[str, Shape | None]) -> None:
        """All pods by uid."""
        self.census.replace_pods(pods)
        self._listed.add("pods")

    def namespaces_listed(self, namespaces: Mapping[str, Labels]) -> None:
        """All namespaces by uid."""
        self._namespaces = {uid: name for uid, (name, _) in namespaces.items()}
        self.census.replace_namespaces(dict(namespaces.values()))
        self._listed.add("namespaces")

    def namespace(self, uid: str, namespace: Labels) -> None:
        """A namespace was added or changed."""
        name, labels = namespace
        self._namespaces[uid] = name
        self.census.put_namespace(name, labels)

    def namespace_deleted(self, uid: str) -> None:
        """A namespace is gone."""
        if name := self._namespaces.pop(uid, ""):
            self.census.put_namespace(name, None)

    def nodes_listed(self, nodes: dict[str, str]) -> None:
        """All Nodes: their names by uid."""
        self.nodes.nodes = nodes
        self._nodes_changed = True
        self._listed.add("nodes")

    def node(self, uid: str, name: str) -> None:
        """A Node was added or changed, as it does every few minutes."""
        self._nodes_changed |= uid not in self.nodes.nodes
        self.nodes.nodes[uid] = name

    def node_deleted(self, uid: str) -> None:
        """A Node is gone."""
        self._nodes_changed |= self.nodes.nodes.pop(uid, None) is not None

    def oomnodes_listed(self, said: dict[str, Said]) -> None:
        """All OOMNodes by uid."""
        self.nodes.said = said
        self._nodes_changed = True
        self._listed.add("oomnodes")

    def oomnode(self, uid: str, said: Said) -> None:
        """An OOMNode was added or changed."""
        self._nodes_changed |= self.nodes.said.get(uid) != said
        self.nodes.said[uid] = said

    def oomnode_deleted(self, uid: str) -> None:
        """An OOMNode is gone."""
        self._nodes_changed |= self.nodes.said.pop(uid, None) is not None

    def look(self) -> set[str]:
        """The policies, gone ones included, of which there may be something else to say than at the last look."""
        touched, self._touched = self._touched, set()
        before = self.hashes
        if self._nodes_changed:
            self.missing = dict(self.nodes.without_oomnode())
            self.hashes, self.backends = self.nodes.hashes(), self.nodes.backends()
        if self._policies_changed:
            self.census.put_policies(self.policies.valid)
            self.asked.ask(self.policies.valid)
        # A set that was not known before may be one that nodes have been applying for a while.
        if self._policies_changed or self.hashes != before:
            touched |= set(self.policies.known)
        self._policies_changed = self._nodes_changed = False
        return touched | self.census.changed()

    def found(self, name: str) -> Found:
        """What there is to say about a known policy."""
        matched, overlapping = self.census.matched(name), self.census.overlapping(name)
        return Found(matched, self.policies.applied(name, self.hashes), overlapping)

# SPDX-License-Identifier: Apache-2.0
"""Counts which policies match how many pods, and which of them leave the choice between them to their names.

Pods are kept by shape: what a match can see of a pod. A cluster has far fewer shapes than pods, so a pod that
comes or goes moves a few counters, and a policy that changes is held against shapes, not against 150,000 pods.

A pod that has finished counts for nothing: it has no process left that could be killed.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final

from oompolicy.controller.matcher import Matcher

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from oompolicy.controller.matcher import Shape
    from oompolicy.model import OOMPolicy


class _Group:
    """The pods of one shape: how many, which policies match them, and those of the highest precedence if several."""

    __slots__ = ("equals", "matching", "pods", "shape")

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.pods = 0
        self.matching: tuple[str, ...] = ()
        self.equals: tuple[str, ...] = ()


_NOBODY: Final[tuple[str, ...]] = ()


class Census:
    """All pods that have not finished, held against all valid policies."""

    def __init__(self) -> None:
        """Empty."""
        self._policies: dict[str, OOMPolicy] = {}
        self._namespaces: dict[str, Mapping[str, str]] = {}
        self._matcher = Matcher((), {})
        self._pods: dict[str, _Group] = {}
        self._groups: dict[Shape, _Group] = {}
        self._by_namespace: defaultdict[str, dict[Shape, _Group]] = defaultdict(dict)
        self._matched: Counter[str] = Counter()
        self._overlaps: Counter[tuple[str, ...]] = Counter()
        self._overlaps_of: defaultdict[str, set[tuple[str, ...]]] = defaultdict(set)
        self._tuples: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._changed: set[str] = set()

    @property
    def pods(self) -> int:
        """How many there are."""
        return len(self._pods)

    @property
    def shapes(self) -> int:
        """How many different ones there are."""
        return len(self._groups)

    def matched(self, policy: str) -> int:
        """How many pods a policy matches, whether or not another wins."""
        return self._matched[policy]

    def overlapping(self, policy: str) -> tuple[str, ...]:
        """The others of its precedence between which and it the name decides for at least one pod; sorted."""
        found = {name for names in self._overlaps_of.get(policy, ()) for name in names}
        return tuple(sorted(found - {policy}))

    def changed(self) -> set[str]:
        """The policies whose numbers or overlaps may have changed since the last call."""
        changed, self._changed = self._changed, set()
        return changed

    def put_pod(self, uid: str, shape: Shape | None) -> None:
        """A pod is there with this shape, or with `None` has finished."""
        group = self._pods.get(uid)
        if group and group.shape == shape:
            return
        if group:
            self._leave(uid, group)
        if shape is not None:
            joined = self._groups.get(shape) or self._new_group(shape)
            self._pods[uid] = joined
            self._count(joined, 1)

    def drop_pod(self, uid: str) -> None:
        """A pod is gone."""
        self.put_pod(uid, None)

    def replace_pods(self, pods: Mapping[str, Shape | None]) -> None:
        """All pods there are."""
        for uid in [uid for uid in self._pods if uid not in pods]:
            self.drop_pod(uid)
        for uid, shape in pods.items():
            self.put_pod(uid, shape)

    def put_namespace(self, name: str, labels: Mapping[str, str] | None) -> None:
        """A namespace has these labels, or with `None` is gone."""
        if self._namespaces.get(name) == labels:
            return
        if labels is None:
            del self._namespaces[name]
        else:
            self._namespaces[name] = labels
        self._matcher.forget(name)
        self._match(self._by_namespace.get(name, {}).values())

    def replace_namespaces(self, namespaces: Mapping[str, Mapping[str, str]]) -> None:
        """All namespaces there are, with their labels."""
        for name in {*self._namespaces, *namespaces}:
            self.put_namespace(name, namespaces.get(name))

    def put_policies(self, policies: Iterable[OOMPolicy]) -> None:
        """All valid policies there are. Costs what the changed ones match and one look at each shape."""
        new = {policy.name: policy for policy in policies}
        old, self._policies = self._policies, new
        changed = {name for name in {*new, *old} if _relevant(new.get(name)) != _relevant(old.get(name))}
        if not changed:
            return
        self._matcher = Matcher(new.values(), self._namespaces)
        touched = Matcher([new[name] for name in changed if name in new], self._namespaces)
        self._match(
            group
            for group in self._groups.values()
            if not changed.isdisjoint(group.matching) or touched.matching(group.shape)
        )
        self._changed |= changed
        for name in changed - set(new):
            self._matched.pop(name, None)
            self._overlaps_of.pop(name, None)

    def _new_group(self, shape: Shape) -> _Group:
        group = self._groups[shape] = self._by_namespace[shape.namespace][shape] = _Group(shape)
        self._match([group])
        return group

    def _leave(self, uid: str, group: _Group) -> None:
        del self._pods[uid]
        self._count(group, -1)
        if group.pods == 0:
            namespace = self._by_namespace[group.shape.namespace]
            del self._groups[group.shape], namespace[group.shape]
            if not namespace:
                del self._by_namespace[group.shape.namespace]

    def _match(self, groups: Iterable[_Group]) -> None:
        for group in groups:
            pods = group.pods
            self._count(group, -pods)
            names = tuple(policy.name for policy in self._matcher.matching(group.shape))
            group.matching, group.equals = self._one(names), self._one(self._equals(names))
            self._count(group, pods)

    def _equals(self, names: tuple[str, ...]) -> tuple[str, ...]:
        highest = max((self._policies[name].precedence for name in names), default=0)
        equals = tuple(name for name in names if self._policies[name].precedence == highest)
        return equals if len(equals) > 1 else _NOBODY

    def _one(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Most shapes are matched by the same few policies: one tuple does for all of them."""
        return self._tuples.setdefault(names, names)

    def _count(self, group: _Group, pods: int) -> None:
        if not pods:
            return
        group.pods += pods
        self._changed.update(group.matching)
        for name in group.matching:
            self._matched[name] += pods
        if group.equals:
            self._overlap(group.equals, pods)

    def _overlap(self, names: tuple[str, ...], pods: int) -> None:
        self._overlaps[names] += pods
        if not self._overlaps[names]:
            del self._overlaps[names]
        for name in names:
            if names in self._overlaps:
                self._overlaps_of[name].add(names)
            else:
                self._overlaps_of[name].discard(names)


def _relevant(policy: OOMPolicy | None) -> tuple[object, ...]:
    return (policy.match, policy.precedence) if policy else ()

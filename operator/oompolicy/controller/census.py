# SPDX-License-Identifier: Apache-2.0
"""Counts the pods that each policy matches, and finds the policies that tie for the highest precedence on a pod.

Pods are grouped by shape, which is the part of a pod that a match can depend on. A cluster has far fewer shapes than
pods. So a pod that is added or deleted changes a few counters, and a changed policy is compared with each shape and not
with 150,000 pods.

A finished pod is not counted, because it has no process left that could be killed.
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
    """The pods of one shape: their number, the policies that match them, and the policies that tie on them.

    `decides` is the policy that gives them the priority, or an empty string if no policy matches.
    """

    __slots__ = ("decides", "matching", "pods", "shape", "tied")

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.pods = 0
        self.decides = ""
        self.matching: tuple[str, ...] = ()
        self.tied: tuple[str, ...] = ()


_NONE_TIED: Final[tuple[str, ...]] = ()


class Census:
    """All unfinished pods, matched with all valid policies."""

    def __init__(self) -> None:
        self._policies: dict[str, OOMPolicy] = {}
        self._namespaces: dict[str, Mapping[str, str]] = {}
        self._matcher = Matcher((), {})
        self._pods: dict[str, _Group] = {}
        self._groups: dict[Shape, _Group] = {}
        self._by_namespace: defaultdict[str, dict[Shape, _Group]] = defaultdict(dict)
        self._matched: Counter[str] = Counter()
        self._decided: Counter[str] = Counter()
        self._overlaps: Counter[tuple[str, ...]] = Counter()
        self._overlaps_of: defaultdict[str, set[tuple[str, ...]]] = defaultdict(set)
        self._tuples: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._changed: set[str] = set()

    @property
    def pods(self) -> int:
        """The number of unfinished pods."""
        return len(self._pods)

    @property
    def shapes(self) -> int:
        """The number of different shapes of pods."""
        return len(self._groups)

    def matched(self, policy: str) -> int:
        """Return the number of pods that a policy matches, whether or not another policy wins."""
        return self._matched[policy]

    def decided(self, policy: str) -> int:
        """Return the number of pods to which a policy gives the priority."""
        return self._decided[policy]

    def overlapping(self, policy: str) -> tuple[str, ...]:
        """Return the policies that tie with this one for the highest precedence on at least one pod, sorted."""
        found = {name for names in self._overlaps_of.get(policy, ()) for name in names}
        return tuple(sorted(found - {policy}))

    def changed(self) -> set[str]:
        """Return the policies with numbers or overlaps that may have changed since the last call."""
        changed, self._changed = self._changed, set()
        return changed

    def put_pod(self, uid: str, shape: Shape | None) -> None:
        """Record the shape of a pod. `None` means that the pod has finished."""
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
        """Record that a pod is deleted. The pod may be unknown."""
        self.put_pod(uid, None)

    def replace_pods(self, pods: Mapping[str, Shape | None]) -> None:
        """Record all pods. A pod that is missing from `pods` is deleted."""
        for uid in [uid for uid in self._pods if uid not in pods]:
            self.drop_pod(uid)
        for uid, shape in pods.items():
            self.put_pod(uid, shape)

    def put_namespace(self, name: str, labels: Mapping[str, str] | None) -> None:
        """Record the labels of a namespace. `None` means that the namespace is deleted."""
        if self._namespaces.get(name) == labels:
            return
        if labels is None:
            del self._namespaces[name]
        else:
            self._namespaces[name] = labels
        self._matcher.forget(name)
        self._match(self._by_namespace.get(name, {}).values())

    def replace_namespaces(self, namespaces: Mapping[str, Mapping[str, str]]) -> None:
        """Record the labels of all namespaces. A namespace that is missing from `namespaces` is deleted."""
        for name in {*self._namespaces, *namespaces}:
            self.put_namespace(name, namespaces.get(name))

    def put_policies(self, policies: Iterable[OOMPolicy]) -> None:
        """Record all valid policies. Every shape is checked, and matched again only if a changed policy concerns it."""
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
            self._decided.pop(name, None)
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
            first = self._first(names)
            group.matching, group.decides = self._shared(names), first[0] if first else ""
            group.tied = self._shared(first if len(first) > 1 else _NONE_TIED)
            self._count(group, pods)

    def _first(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return the policies with the highest precedence. The first of them wins, because `names` are sorted."""
        highest = max((self._policies[name].precedence for name in names), default=0)
        return tuple(name for name in names if self._policies[name].precedence == highest)

    def _shared(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """Return one tuple for all groups with these names, to save memory: few policies match most shapes."""
        return self._tuples.setdefault(names, names)

    def _count(self, group: _Group, pods: int) -> None:
        if not pods:
            return
        group.pods += pods
        self._changed.update(group.matching)
        for name in group.matching:
            self._matched[name] += pods
        if group.decides:
            self._decided[group.decides] += pods
        if group.tied:
            self._overlap(group.tied, pods)

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

# SPDX-License-Identifier: Apache-2.0
"""Resolves this node's pods again after a change, at the cost of what changed. No I/O."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from oompolicy.parse import InvalidObject, parse_namespace, parse_pod, parse_policy, read_pod
from oompolicy.policyhash import policy_hash
from oompolicy.resolve import Resolver
from oompolicy_agent.known import Known

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from oompolicy.model import Assignment, Defaults, Namespace, OOMPolicy, Pod
    from oompolicy_agent.api.collected import Slim

R = TypeVar("R")


class _Parsed(NamedTuple, Generic[R]):
    slim: Slim
    record: R | None
    problems: tuple[str, ...]


class Parser(Generic[R]):
    """Parses each object once per change. What cannot be parsed is left out: the API keeps objects apart."""

    def __init__(
        self, parse: Callable[[Mapping[str, Any]], R], read: Callable[[Mapping[str, Any]], R] | None = None
    ) -> None:
        """Both raise InvalidObject. `read` takes what it can of an object that `parse` refuses."""
        self._parse, self._read = parse, read
        self._known: dict[str, _Parsed[R]] = {}

    @property
    def problems(self) -> tuple[str, ...]:
        """A sentence for each thing that is wrong with one of them."""
        return tuple(sentence for each in self._known.values() for sentence in each.problems)

    @property
    def texts(self) -> list[str]:
        """The JSON of those that have a record, in the order of the records."""
        return [each.slim.text for each in self._known.values() if each.record is not None]

    def records(self, objects: Mapping[str, Slim]) -> tuple[R, ...]:
        """The record of each that has one; of an object that did not change the same record as before."""
        self._known = {uid: self._of(uid, slim) for uid, slim in objects.items()}
        return tuple(each.record for each in self._known.values() if each.record is not None)

    def _of(self, uid: str, slim: Slim) -> _Parsed[R]:
        known = self._known.get(uid)
        if known and known.slim == slim:
            return known
        raw = json.loads(slim.text)
        try:
            return _Parsed(slim, self._parse(raw), ())
        except InvalidObject as error:
            return _Parsed(slim, self._what_can_be_read(raw), tuple(map(str, error.problems)))

    def _what_can_be_read(self, raw: Mapping[str, Any]) -> R | None:
        try:
            return self._read(raw) if self._read else None
        except InvalidObject:
            return None


class Resolution:
    """Remembers the last resolution."""

    def __init__(self, defaults: Defaults) -> None:
        """Nothing resolved yet."""
        self._defaults = defaults
        self._policies: Parser[OOMPolicy] = Parser(parse_policy)
        self._namespaces: Parser[Namespace] = Parser(parse_namespace)
        self._pods: Parser[Pod] = Parser(parse_pod, read_pod)
        self._basis: tuple[tuple[OOMPolicy, ...], tuple[Namespace, ...]] = ((), ())
        self._resolver = Resolver((), (), defaults)
        self._hash = policy_hash(())
        self._assigned: dict[str, tuple[Pod, Assignment]] = {}

    @property
    def policy_problems(self) -> tuple[str, ...]:
        """What is wrong with policies that are not applied."""
        return self._policies.problems

    @property
    def pod_problems(self) -> tuple[str, ...]:
        """What is wrong with pods: each is resolved without what cannot be read."""
        return self._pods.problems

    def decide(self, policies: Mapping[str, Slim], namespaces: Mapping[str, Slim], pods: Mapping[str, Slim]) -> Known:
        """From all there are, by uid. Of namespaces only those count that a pod is in: a cluster may have thousands."""
        found = self._pods.records(pods)
        names = {pod.namespace for pod in found}
        inhabited = {uid: slim for uid, slim in namespaces.items() if slim.name in names}
        self._rely_on(self._policies.records(policies), self._namespaces.records(inhabited))
        self._assigned = {pod.uid: (pod, self._assign(pod)) for pod in found}
        ordered = sorted(found, key=lambda pod: (pod.namespace, pod.name, pod.uid))
        texts = (*self._policies.texts, *self._namespaces.texts, *self._pods.texts)
        assignments = tuple(self._assigned[pod.uid][1] for pod in ordered)
        return Known(found, assignments, self._hash, f"[{','.join(texts)}]")

    def _rely_on(self, policies: tuple[OOMPolicy, ...], namespaces: tuple[Namespace, ...]) -> None:
        """Forget all assignments where policies or namespaces changed."""
        if (policies, namespaces) != self._basis:
            self._basis = policies, namespaces
            self._resolver = Resolver(policies, namespaces, self._defaults)
            self._hash = policy_hash(policies)
            self._assigned = {}

    def _assign(self, pod: Pod) -> Assignment:
        known = self._assigned.get(pod.uid)
        return known[1] if known and known[0] is pod else self._resolver.assign(pod)

# SPDX-License-Identifier: Apache-2.0
"""Resolves this node's pods again after a change, at the cost of what changed. No I/O."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar

from oompolicy.parse import InvalidObject, parse_namespace, parse_pod, parse_policy, read_pod
from oompolicy.parse.problems import Problem
from oompolicy.policyhash import policy_hash
from oompolicy.resolve import Resolver
from oompolicy_agent.objects.known import ResolvedPods
from oompolicy_agent.plumbing.text import clip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from oompolicy.model import Assignment, Defaults, Namespace, OOMPolicy, Pod
    from oompolicy_agent.api.collected import Slim

R = TypeVar("R")

_OF_ONE: Final = 3
"""Problems of one object that are told."""
_LENGTH: Final = 500
"""Characters of each: a value that is wrong may have 1.5 million."""


class _Parsed(NamedTuple, Generic[R]):
    slim: Slim
    record: R | None
    problems: tuple[str, ...]
    unknown: tuple[str, ...] = ()


class Parser(Generic[R]):
    """Parses each object once per change. What cannot be parsed is left out: the API keeps objects apart."""

    def __init__(
        self,
        parse: Callable[[Mapping[str, Any], list[Problem]], R],
        read: Callable[[Mapping[str, Any]], R] | None = None,
    ) -> None:
        """Both raise InvalidObject.

        `parse` adds fields that it does not know, and goes on without, to the list.
        `read` takes what it can of an object that `parse` refuses.
        """
        self._parse, self._read = parse, read
        self._known: dict[str, _Parsed[R]] = {}

    @property
    def problems(self) -> tuple[str, ...]:
        """A sentence for each thing that is wrong with one of them."""
        return tuple(sentence for each in self._known.values() for sentence in each.problems)

    @property
    def unknown(self) -> tuple[str, ...]:
        """A sentence for each field that is not known, of those that are right but for that."""
        return tuple(sentence for each in self._known.values() for sentence in each.unknown)

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
        raw, unknown = json.loads(slim.text), list[Problem]()
        try:
            record = self._parse(raw, unknown)
        except InvalidObject as error:
            return _Parsed(slim, self._what_can_be_read(raw), _sentences(error.problems))
        return _Parsed(slim, record, (), _sentences(unknown))

    def _what_can_be_read(self, raw: Mapping[str, Any]) -> R | None:
        try:
            return self._read(raw) if self._read else None
        except InvalidObject:
            return None


def _sentences(problems: Sequence[Problem]) -> tuple[str, ...]:
    """Those of one object, which may have as many as it has fields."""
    more = len(problems) - _OF_ONE
    rest = (f"{problems[0].object}: and {more} more",) if more > 0 else ()
    return (*(clip(str(problem), _LENGTH) for problem in problems[:_OF_ONE]), *rest)


def _policy(raw: Mapping[str, Any], unknown: list[Problem]) -> OOMPolicy:
    return parse_policy(raw, unknown=unknown)


def _namespace(raw: Mapping[str, Any], _: list[Problem]) -> Namespace:
    return parse_namespace(raw)


def _pod(raw: Mapping[str, Any], _: list[Problem]) -> Pod:
    return parse_pod(raw)


def readable(slims: Iterable[Slim]) -> tuple[Pod, ...]:
    """The pods that can be read."""
    parser: Parser[Pod] = Parser(_pod, read_pod)
    return parser.records({str(number): slim for number, slim in enumerate(slims)})


class Resolution:
    """Remembers the last resolution."""

    def __init__(self, defaults: Defaults) -> None:
        """Nothing resolved yet."""
        self._defaults = defaults
        self._policies: Parser[OOMPolicy] = Parser(_policy)
        self._namespaces: Parser[Namespace] = Parser(_namespace)
        self._pods: Parser[Pod] = Parser(_pod, read_pod)
        self._basis: tuple[tuple[OOMPolicy, ...], tuple[Namespace, ...]] = ((), ())
        self._resolver = Resolver((), (), defaults)
        self._hash = policy_hash(())
        self._assigned: dict[str, tuple[Pod, Assignment]] = {}

    @property
    def policies(self) -> tuple[OOMPolicy, ...]:
        """Those of the last resolution."""
        return self._basis[0]

    @property
    def policy_problems(self) -> tuple[str, ...]:
        """What is wrong with policies that are not applied."""
        return self._policies.problems

    @property
    def unknown_fields(self) -> tuple[str, ...]:
        """What policies say that is not known here: they are applied without it."""
        return self._policies.unknown

    @property
    def pod_problems(self) -> tuple[str, ...]:
        """What is wrong with pods: each is resolved without what cannot be read."""
        return self._pods.problems

    def decide(
        self, policies: Mapping[str, Slim], namespaces: Mapping[str, Slim], pods: Mapping[str, Slim]
    ) -> ResolvedPods:
        """From all there are, by uid. Of namespaces only those count that a pod is in: a cluster may have thousands."""
        found = self._pods.records(pods)
        names = {pod.namespace for pod in found}
        inhabited = {uid: slim for uid, slim in namespaces.items() if slim.name in names}
        self._rely_on(self._policies.records(policies), self._namespaces.records(inhabited))
        self._assigned = {pod.uid: (pod, self._assign(pod)) for pod in found}
        ordered = sorted(found, key=lambda pod: (pod.namespace, pod.name, pod.uid))
        texts = (*self._policies.texts, *self._namespaces.texts, *self._pods.texts)
        assignments = tuple(self._assigned[pod.uid][1] for pod in ordered)
        return ResolvedPods(found, assignments, self._hash, f"[{','.join(texts)}]")

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

# SPDX-License-Identifier: Apache-2.0
"""Resolves the priorities of the node's pods after a change, and does only the work that the change needs. No I/O."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar

from oompolicy.parse import InvalidObject, parse_namespace, parse_pod, parse_policy, read_pod
from oompolicy.parse.problems import Problem
from oompolicy.policyhash import policy_hash
from oompolicy.resolve import Resolver
from oompolicy.text import clip
from oompolicy_agent.objects.known import ResolvedPods

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from oompolicy.model import Assignment, Defaults, Namespace, OOMPolicy, Pod
    from oompolicy_agent.api.collected import TrimmedObject

R = TypeVar("R")

_OF_ONE: Final = 3
"""The number of problems of one object that are reported."""
_LENGTH: Final = 500
"""Characters of one problem. An invalid value can have 1.5 million."""


class _Parsed(NamedTuple, Generic[R]):
    trimmed: TrimmedObject
    record: R | None
    problems: tuple[str, ...]
    unknown: tuple[str, ...] = ()


class Parser(Generic[R]):
    """A parser that parses each object once per change. An object that cannot be parsed is left out."""

    def __init__(
        self,
        parse: Callable[[Mapping[str, Any], list[Problem]], R],
        read: Callable[[Mapping[str, Any]], R] | None = None,
    ) -> None:
        """Take two functions that raise InvalidObject.

        `parse` adds unknown fields to its second argument and ignores them.
        `read` reads the valid parts of an object that `parse` refuses.
        """
        self._parse, self._read = parse, read
        self._known: dict[str, _Parsed[R]] = {}

    @property
    def problems(self) -> tuple[str, ...]:
        """A sentence for each problem of an object."""
        return tuple(sentence for each in self._known.values() for sentence in each.problems)

    @property
    def unknown(self) -> tuple[str, ...]:
        """A sentence for each unknown field of an object that is otherwise valid."""
        return tuple(sentence for each in self._known.values() for sentence in each.unknown)

    @property
    def texts(self) -> list[str]:
        """The JSON of the objects that have a record, in the order of the records."""
        return [each.trimmed.text for each in self._known.values() if each.record is not None]

    def records(self, objects: Mapping[str, TrimmedObject]) -> tuple[R, ...]:
        """Return the records of the objects. An object that did not change keeps the same record."""
        self._known = {uid: self._of(uid, trimmed) for uid, trimmed in objects.items()}
        return tuple(each.record for each in self._known.values() if each.record is not None)

    def _of(self, uid: str, trimmed: TrimmedObject) -> _Parsed[R]:
        known = self._known.get(uid)
        if known and known.trimmed == trimmed:
            return known
        raw, unknown = json.loads(trimmed.text), list[Problem]()
        try:
            record = self._parse(raw, unknown)
        except InvalidObject as error:
            return _Parsed(trimmed, self._read_valid_parts(raw), _sentences(error.problems))
        return _Parsed(trimmed, record, (), _sentences(unknown))

    def _read_valid_parts(self, raw: Mapping[str, Any]) -> R | None:
        try:
            return self._read(raw) if self._read else None
        except InvalidObject:
            return None


def _sentences(problems: Sequence[Problem]) -> tuple[str, ...]:
    """Return sentences for the problems of one object, which can have one for each field."""
    more = len(problems) - _OF_ONE
    rest = (f"{problems[0].object}: and {more} more",) if more > 0 else ()
    return (*(clip(str(problem), _LENGTH) for problem in problems[:_OF_ONE]), *rest)


def _policy(raw: Mapping[str, Any], unknown: list[Problem]) -> OOMPolicy:
    return parse_policy(raw, unknown=unknown)


def _namespace(raw: Mapping[str, Any], _: list[Problem]) -> Namespace:
    return parse_namespace(raw)


def _pod(raw: Mapping[str, Any], _: list[Problem]) -> Pod:
    return parse_pod(raw)


def readable(objects: Iterable[TrimmedObject]) -> tuple[Pod, ...]:
    """Return the pods that can be read."""
    parser: Parser[Pod] = Parser(_pod, read_pod)
    return parser.records({str(number): trimmed for number, trimmed in enumerate(objects)})


class Resolution:
    """The last resolution, from which the next one takes all that did not change.

    `defaults` are the priorities of pods to which no policy gives one. The next resolution uses them.
    """

    def __init__(self, defaults: Defaults) -> None:
        """Begin without objects."""
        self.defaults = defaults
        self._policies: Parser[OOMPolicy] = Parser(_policy)
        self._namespaces: Parser[Namespace] = Parser(_namespace)
        self._pods: Parser[Pod] = Parser(_pod, read_pod)
        self._basis: tuple[tuple[OOMPolicy, ...], tuple[Namespace, ...], Defaults] = ((), (), defaults)
        self._resolver = Resolver((), (), defaults)
        self._hash = policy_hash(())
        self._assigned: dict[str, tuple[Pod, Assignment]] = {}

    @property
    def policy_problems(self) -> tuple[str, ...]:
        """The problems of policies, which are not applied because of them."""
        return self._policies.problems

    @property
    def unknown_fields(self) -> tuple[str, ...]:
        """The unknown fields of policies, which are applied without these fields."""
        return self._policies.unknown

    @property
    def pod_problems(self) -> tuple[str, ...]:
        """The problems of pods, each of which is resolved without its invalid fields."""
        return self._pods.problems

    def read_policies(self, policies: Mapping[str, TrimmedObject]) -> tuple[OOMPolicy, ...]:
        """Return the valid ones of these policies, which are given by uid, without a resolution."""
        return self._policies.records(policies)

    def decide(
        self,
        policies: Mapping[str, TrimmedObject],
        namespaces: Mapping[str, TrimmedObject],
        pods: Mapping[str, TrimmedObject],
    ) -> ResolvedPods:
        """Resolve all pods. The arguments have all objects by uid.

        Namespaces without a pod are ignored, because a cluster can have thousands of them.
        """
        found = self._pods.records(pods)
        names = {pod.namespace for pod in found}
        inhabited = {uid: trimmed for uid, trimmed in namespaces.items() if trimmed.name in names}
        self._rely_on(self._policies.records(policies), self._namespaces.records(inhabited))
        self._assigned = {pod.uid: (pod, self._assign(pod)) for pod in found}
        ordered = sorted(found, key=lambda pod: (pod.namespace, pod.name, pod.uid))
        texts = (*self._policies.texts, *self._namespaces.texts, *self._pods.texts)
        assignments = tuple(self._assigned[pod.uid][1] for pod in ordered)
        return ResolvedPods(found, assignments, self._hash, f"[{','.join(texts)}]")

    def _rely_on(self, policies: tuple[OOMPolicy, ...], namespaces: tuple[Namespace, ...]) -> None:
        """Drop all assignments if policies, namespaces or defaults changed."""
        if (policies, namespaces, self.defaults) != self._basis:
            self._basis = policies, namespaces, self.defaults
            self._resolver = Resolver(policies, namespaces, self.defaults)
            self._hash = policy_hash(policies)
            self._assigned = {}

    def _assign(self, pod: Pod) -> Assignment:
        known = self._assigned.get(pod.uid)
        return known[1] if known and known[0] is pod else self._resolver.assign(pod)

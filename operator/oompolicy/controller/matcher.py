# SPDX-License-Identifier: Apache-2.0
"""Finds the policies that match a shape without trying every policy.

A policy that requires one of some values for a label is found by that label, because it matches only pods with it. A
namespace selector is evaluated once per namespace, for all policies and pods that share it. Shapes that differ only in
labels that no policy selects by, such as the name of a StatefulSet's pod, share one result.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from oompolicy.model import Operator
from oompolicy.resolve.matching import matches_pod, selects_namespace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from oompolicy.model import LabelSelector, OOMPolicy, QOSClass, Requirement


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Shape:
    """The part of a pod that a match can depend on. `labels` are sorted, so that equal labels compare as equal."""

    namespace: str
    labels: tuple[tuple[str, str], ...]
    qos_class: QOSClass
    priority_class_name: str | None
    static: bool = False


class _PodView(NamedTuple):
    labels: Mapping[str, str]
    qos_class: QOSClass
    priority_class_name: str | None
    static: bool


class _Local:
    """The policies with a namespace selector that selects certain namespaces."""

    def __init__(self, policies: Iterable[OOMPolicy]) -> None:
        self._anywhere: list[OOMPolicy] = []
        self._by_label: defaultdict[tuple[str, str], list[OOMPolicy]] = defaultdict(list)
        for policy in policies:
            labels = _wanted_label(policy)
            if labels is None:
                self._anywhere.append(policy)
            for label in labels or ():
                self._by_label[label].append(policy)

    def candidates(self, shape: Shape) -> Iterator[OOMPolicy]:
        """Return the policies that may match, each once, because a pod has one value per label."""
        yield from self._anywhere
        for label in shape.labels:
            yield from self._by_label.get(label, ())


class Matcher:
    """Policies, prepared for many shapes. `namespaces` has the labels of each namespace by its name, and may change."""

    def __init__(self, policies: Iterable[OOMPolicy], namespaces: Mapping[str, Mapping[str, str]]) -> None:
        self._namespaces = namespaces
        self._by_selector: defaultdict[LabelSelector | None, list[OOMPolicy]] = defaultdict(list)
        self._asked: defaultdict[str, set[str]] = defaultdict(set)  # values by label key
        for policy in policies:
            self._by_selector[policy.match.namespace_selector].append(policy)
            for requirement in _pod_requirements(policy):
                self._asked[requirement.key] |= requirement.values
        self._answers: dict[tuple[object, ...], list[OOMPolicy]] = {}
        self._locals: dict[frozenset[LabelSelector | None], _Local] = {}
        self._by_namespace: dict[str, _Local] = {}

    def matching(self, shape: Shape) -> list[OOMPolicy]:
        """Return the policies that match a pod of this shape, sorted by name."""
        local = self._local(shape.namespace)
        other = (shape.qos_class, shape.priority_class_name, shape.static)
        question = (local, self._asked_labels(shape), *other)
        if question not in self._answers:
            pod = _PodView(dict(shape.labels), *other)
            found = (policy for policy in local.candidates(shape) if matches_pod(policy.match, pod))
            self._answers[question] = sorted(found, key=lambda policy: policy.name)
        return self._answers[question]

    def forget(self, namespace: str) -> None:
        """Drop the result for a namespace after a change of its labels."""
        self._by_namespace.pop(namespace, None)

    def _asked_labels(self, shape: Shape) -> tuple[tuple[str, str | None], ...]:
        """Return the labels that policies select by. `None` stands for all values that no policy names.

        So few different questions are left, and few answers are stored.
        """
        return tuple(
            (key, value if value in self._asked[key] else None) for key, value in shape.labels if key in self._asked
        )

    def _local(self, namespace: str) -> _Local:
        local = self._by_namespace.get(namespace)
        if local is None:
            local = self._by_namespace[namespace] = self._holding(namespace, self._namespaces.get(namespace))
        return local

    def _holding(self, namespace: str, labels: Mapping[str, str] | None) -> _Local:
        holding = frozenset(each for each in self._by_selector if selects_namespace(each, namespace, labels))
        if holding not in self._locals:
            self._locals[holding] = _Local(policy for selector in holding for policy in self._by_selector[selector])
        return self._locals[holding]


def _wanted_label(policy: OOMPolicy) -> list[tuple[str, str]] | None:
    """Return the key and the possible values of a label that a pod must have, or `None` if the policy requires none."""
    for requirement in _pod_requirements(policy):
        if requirement.operator is Operator.IN:
            return [(requirement.key, value) for value in requirement.values]
    return None


def _pod_requirements(policy: OOMPolicy) -> tuple[Requirement, ...]:
    selector = policy.match.pod_selector
    return selector.requirements if selector else ()

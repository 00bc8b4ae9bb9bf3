# SPDX-License-Identifier: Apache-2.0
"""Finds the policies that match a shape, without asking each of them.

A policy that wants a label to have one of some values matches only pods that have it, and is found by that label.
A namespace selector is asked once per namespace, whatever the number of policies and pods that share it.
Shapes that differ only in what no policy asks about, such as the name of a StatefulSet's pod, are asked about once.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from oompolicy.model import Operator
from oompolicy.resolve.matching import matches_pod, selects

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from oompolicy.model import LabelSelector, OOMPolicy, QOSClass, Requirement

_NAMESPACE_NAME: Final = "kubernetes.io/metadata.name"


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Shape:
    """What of a pod a policy can match by. `labels` are sorted, so that the same ones are equal."""

    namespace: str
    labels: tuple[tuple[str, str], ...]
    qos_class: QOSClass
    priority_class_name: str | None
    static: bool = False


class _Seen(NamedTuple):
    labels: Mapping[str, str]
    qos_class: QOSClass
    priority_class_name: str | None
    static: bool


class _Local:
    """The policies whose namespace selector holds in some namespaces."""

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
        """Each once, since a pod has one value per label."""
        yield from self._anywhere
        for label in shape.labels:
            yield from self._by_label.get(label, ())


class Matcher:
    """Some policies, made ready for any number of shapes. `namespaces` are labels by name, and may change."""

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
        """Those that match a pod of this shape, by name."""
        local = self._local(shape.namespace)
        other = (shape.qos_class, shape.priority_class_name, shape.static)
        question = (local, self._asked_labels(shape), *other)
        if question not in self._answers:
            pod = _Seen(dict(shape.labels), *other)
            found = (policy for policy in local.candidates(shape) if matches_pod(policy.match, pod))
            self._answers[question] = sorted(found, key=lambda policy: policy.name)
        return self._answers[question]

    def forget(self, namespace: str) -> None:
        """Its labels have changed."""
        self._by_namespace.pop(namespace, None)

    def _asked_labels(self, shape: Shape) -> tuple[tuple[str, str | None], ...]:
        """All values that no policy names are as good as one, so that the answers kept are few."""
        return tuple(
            (key, value if value in self._asked[key] else None) for key, value in shape.labels if key in self._asked
        )

    def _local(self, namespace: str) -> _Local:
        local = self._by_namespace.get(namespace)
        if local is None:
            # As the resolver does: one that is not known yet has the label of its name and no other for us.
            labels = {**self._namespaces.get(namespace, {}), _NAMESPACE_NAME: namespace}
            local = self._by_namespace[namespace] = self._holding(labels)
        return local

    def _holding(self, labels: Mapping[str, str]) -> _Local:
        holding = frozenset(selector for selector in self._by_selector if selects(selector, labels))
        if holding not in self._locals:
            self._locals[holding] = _Local(policy for selector in holding for policy in self._by_selector[selector])
        return self._locals[holding]


def _wanted_label(policy: OOMPolicy) -> list[tuple[str, str]] | None:
    """The values of one label of which a pod must have one; `None` where no label is so wanted."""
    for requirement in _pod_requirements(policy):
        if requirement.operator is Operator.IN:
            return [(requirement.key, value) for value in requirement.values]
    return None


def _pod_requirements(policy: OOMPolicy) -> tuple[Requirement, ...]:
    selector = policy.match.pod_selector
    return selector.requirements if selector else ()

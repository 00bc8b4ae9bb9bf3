# SPDX-License-Identifier: Apache-2.0
"""Resolve the priority of every pod and container from policies, namespaces, pods and defaults. Pure.

The matching policy with the highest precedence wins. Of several with the same precedence, the alphabetically first one
wins. It sets the pod's priority, and an annotation that it allows can change this (`oompolicy.resolve.assign`).
"""

from collections.abc import Iterable, Sequence

from oompolicy.model import Assignment, Defaults, Namespace, OOMPolicy, Pod
from oompolicy.resolve.assign import assign_by, assign_default
from oompolicy.resolve.matching import matches_pod, selects_namespace

_BUILT_IN = Defaults()


def resolve(
    policies: Iterable[OOMPolicy],
    namespaces: Iterable[Namespace],
    pods: Iterable[Pod],
    defaults: Defaults = _BUILT_IN,
) -> tuple[Assignment, ...]:
    """Return one assignment per pod, sorted by namespace, name and uid, for any order of the arguments."""
    resolver = Resolver(policies, namespaces, defaults)
    return tuple(resolver.assign(pod) for pod in sorted(pods, key=lambda pod: (pod.namespace, pod.name, pod.uid)))


class Resolver:
    """Policies and namespaces, prepared once for any number of pods."""

    def __init__(
        self, policies: Iterable[OOMPolicy], namespaces: Iterable[Namespace], defaults: Defaults = _BUILT_IN
    ) -> None:
        """Raise `ValueError` for two policies or two namespaces of one name, because the choice would be random."""
        self._policies = sorted(policies, key=lambda policy: (-policy.precedence, policy.name))
        spaces = list(namespaces)
        _require_unique("policies", [policy.name for policy in self._policies])
        _require_unique("namespaces", [space.name for space in spaces])
        self._labels = {space.name: space.labels for space in spaces}
        self._defaults = defaults
        self._by_namespace: dict[str, tuple[OOMPolicy, ...]] = {}

    def assign(self, pod: Pod) -> Assignment:
        """Return the pod's assignment."""
        matching = self._matching(pod)
        if not matching:
            return assign_default(pod, self._defaults)
        winner, *others = matching
        return assign_by(winner, pod, self._defaults, overlapping=tuple(policy.name for policy in others))

    def _matching(self, pod: Pod) -> list[OOMPolicy]:
        """Return all matching policies with the highest precedence, the winner first."""
        matching: list[OOMPolicy] = []
        for policy in self._candidates(pod.namespace):
            if matching and policy.precedence < matching[0].precedence:
                break
            if matches_pod(policy.match, pod):
                matching.append(policy)
        return matching

    def _candidates(self, namespace: str) -> tuple[OOMPolicy, ...]:
        """Return the policies whose namespace selector holds, cached because a namespace has many pods."""
        if namespace not in self._by_namespace:
            labels = self._labels.get(namespace)
            self._by_namespace[namespace] = tuple(
                policy
                for policy in self._policies
                if selects_namespace(policy.match.namespace_selector, namespace, labels)
            )
        return self._by_namespace[namespace]


def _require_unique(what: str, names: Sequence[str]) -> None:
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"two {what} are named {twice}")

# SPDX-License-Identifier: Apache-2.0
"""Select and sort the pods that `resolve` prints and `lint` checks. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

from oompolicy.manifests import Manifests
from oompolicy.model import Assignment, LabelSelector, OOMPolicy, Pod
from oompolicy.parse.problems import Problem
from oompolicy.resolve.matching import selects

SORT_KEYS: Final = ("name", "priority")


class Selection(NamedTuple):
    """The pods to print or to check. A part that is None selects all pods."""

    node: str | None = None
    namespace: str | None = None
    labels: LabelSelector | None = None
    policy: str | None = None
    """The OOMPolicy that gives the pod its priority."""

    def pods(self, pods: Iterable[Pod]) -> list[Pod]:
        """Return the pods of the node and the namespace that have the labels."""
        return [
            pod
            for pod in pods
            if self.node in (None, pod.node_name)
            and self.namespace in (None, pod.namespace)
            and selects(self.labels, pod.labels)
        ]

    def assignments(self, assignments: Iterable[Assignment]) -> list[Assignment]:
        """Return the assignments whose priority the policy gives."""
        return [each for each in assignments if self.policy in (None, each.policy)]

    def problems(self, manifests: Manifests) -> Iterator[Problem]:
        """Yield a problem for a name that nothing in the input has. It is probably misspelt."""
        yield from _unknown("policy", self.policy, manifests.policies)
        spaces = {each.name for each in manifests.namespaces} | {pod.namespace for pod in manifests.pods}
        if self.namespace is not None and self.namespace not in spaces:
            known = f"the namespaces there are {', '.join(sorted(spaces))}" if spaces else "no namespace is there"
            yield Problem(None, f"namespace {self.namespace}", "", f"is not in the input; {known}")


def nothing_selected(manifests: Manifests) -> str:
    """Return the sentence for a selection without pods."""
    return "No pod of this input is selected." if manifests.pods else "No pod is in this input."


def _unknown(what: str, name: str | None, policies: Sequence[OOMPolicy]) -> Iterator[Problem]:
    names = sorted(policy.name for policy in policies)
    if name is not None and name not in names:
        known = f"the policies there are {', '.join(names)}" if names else "no policy is there"
        yield Problem(None, f"{what} {name}", "", f"is not in the input; {known}")


def dies_first(assignment: Assignment) -> int:
    """Return a sort key: the lowest priority of the pod's containers."""
    return min((each.priority for each in assignment.containers), default=assignment.priority)

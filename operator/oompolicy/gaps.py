# SPDX-License-Identifier: Apache-2.0
"""Find objects that are missing in the input of `resolve`, so that its result may differ from the cluster's."""

from collections.abc import Iterator, Sequence

from oompolicy.manifests import Manifests
from oompolicy.model import NAMESPACE_NAME, OOMPolicy, Pod
from oompolicy.parse.problems import Problem


def gaps_of(manifests: Manifests, pods: Sequence[Pod], node: str | None) -> tuple[Problem, ...]:
    """Return a problem for each object that `pods` need. `pods` are the pods of `manifests` that are on `node`."""
    return (*_node(manifests, pods, node), *_namespaces(manifests, pods))


def _node(manifests: Manifests, pods: Sequence[Pod], node: str | None) -> Iterator[Problem]:
    if node is not None and not pods:
        names = sorted({pod.node_name for pod in manifests.pods if pod.node_name})
        known = f"the nodes named there are {', '.join(names)}" if names else "no pod there names a node"
        yield Problem(None, f"node {node}", "", f"no pod of the input is on this node; {known}")


def _namespaces(manifests: Manifests, pods: Sequence[Pod]) -> Iterator[Problem]:
    """Yield a problem for each namespace whose labels are needed and unknown. Its name is known from its pods."""
    asking = [policy.name for policy in manifests.policies if _asks_for_labels(policy)]
    missing = {pod.namespace for pod in pods} - {namespace.name for namespace in manifests.namespaces}
    for name in sorted(missing if asking else ()):
        policies = ", ".join(sorted(asking))
        message = f"is not in the input, so its labels are unknown and the namespaceSelector of {policies} fails"
        yield Problem(None, f"Namespace/{name}", "", message)


def _asks_for_labels(policy: OOMPolicy) -> bool:
    selector = policy.match.namespace_selector
    return selector is not None and any(each.key != NAMESPACE_NAME for each in selector.requirements)

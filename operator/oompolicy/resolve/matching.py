# SPDX-License-Identifier: Apache-2.0
"""Decide whether a policy applies to a pod. Pure."""

from collections.abc import Mapping
from typing import Protocol

from oompolicy.model import (
    NAMESPACE_NAME,
    NODE_CRITICAL_CLASS,
    LabelSelector,
    Match,
    Operator,
    QOSClass,
    Requirement,
)


class Matchable(Protocol):
    """The fields of a pod that a policy can select by, apart from its namespace."""

    @property
    def labels(self) -> Mapping[str, str]: ...  # noqa: D102
    @property
    def qos_class(self) -> QOSClass: ...  # noqa: D102
    @property
    def priority_class_name(self) -> str | None: ...  # noqa: D102
    @property
    def static(self) -> bool: ...  # noqa: D102


def selects(selector: LabelSelector | None, labels: Mapping[str, str]) -> bool:
    """Return True if all requirements hold for `labels`. No selector selects everything."""
    return selector is None or all(_holds(requirement, labels) for requirement in selector.requirements)


def selects_namespace(selector: LabelSelector | None, name: str, labels: Mapping[str, str] | None) -> bool:
    """Return True if all requirements hold for the namespace `name`. Without its object, its `labels` are None.

    The API server gives every namespace a label with its name, so this label is known before the object is. No
    requirement for another label holds for an unknown namespace, also not one that the label must not exist.
    """
    known = {**(labels or {}), NAMESPACE_NAME: name}
    asked = selector.requirements if selector else ()
    return all((labels is not None or each.key == NAMESPACE_NAME) and _holds(each, known) for each in asked)


def is_node_critical(pod: Matchable) -> bool:
    """Return True if the node depends on the pod. A policy must name its class to apply to it."""
    return pod.static or pod.priority_class_name == NODE_CRITICAL_CLASS


def matches_pod(match: Match, pod: Matchable) -> bool:
    """Return True if all parts of `match` except the namespace selector hold for the pod.

    No policy is for a node-critical pod by accident: `match.priorityClassNames` has to name system-node-critical.
    """
    names = match.priority_class_names
    return (
        (match.qos_classes is None or pod.qos_class in match.qos_classes)
        and (names is None or pod.priority_class_name in names)
        and (not is_node_critical(pod) or (names is not None and NODE_CRITICAL_CLASS in names))
        and selects(match.pod_selector, pod.labels)
    )


def _holds(requirement: Requirement, labels: Mapping[str, str]) -> bool:
    value = labels.get(requirement.key)
    match requirement.operator:
        case Operator.IN:
            return value in requirement.values
        case Operator.NOT_IN:
            # As in Kubernetes, a label that is not there is not in any set.
            return value not in requirement.values
        case Operator.EXISTS:
            return value is not None
        case Operator.DOES_NOT_EXIST:
            return value is None

# SPDX-License-Identifier: Apache-2.0
"""Find the parts of a valid policy that can apply to no pod with any labels and classes. Pure."""

from collections.abc import Iterator, Mapping

from oompolicy.model import (
    NAMESPACE_NAME,
    NODE_CRITICAL_CLASS,
    ByPriorityClass,
    ByQOSClass,
    LabelSelector,
    Match,
    OOMPolicy,
    Operator,
    QOSClass,
    Requirement,
)
from oompolicy.resolve.disjoint import satisfiable

_NAMED = LabelSelector((Requirement(NAMESPACE_NAME, Operator.EXISTS),))
"""Every namespace has this label. The API server sets it."""


def contradictions(match: Match) -> tuple[str, ...]:
    """Return the names of the selectors whose requirements contradict each other, so that no pod can match."""
    possible = {
        "namespaceSelector": satisfiable(match.namespace_selector, _NAMED),
        "podSelector": satisfiable(match.pod_selector),
    }
    return tuple(name for name, holds in possible.items() if not holds)


def unused_values(policy: OOMPolicy) -> Mapping[str, str]:
    """Return the values by class that can apply to no pod, by their path below `priority`, each with the reason."""
    return dict(_unused(policy))


def _unused(policy: OOMPolicy) -> Iterator[tuple[str, str]]:
    classes, names = policy.match.qos_classes, policy.match.priority_class_names
    match policy.priority:
        case ByQOSClass(guaranteed, burstable, best_effort):
            values = {
                "guaranteed": (QOSClass.GUARANTEED, guaranteed),
                "burstable": (QOSClass.BURSTABLE, burstable),
                "bestEffort": (QOSClass.BEST_EFFORT, best_effort),
            }
            for field, (qos_class, value) in values.items():
                if value is not None and classes and qos_class not in classes:
                    yield f"byQOSClass.{field}", f"match.qosClasses leaves {qos_class} out"
        case ByPriorityClass(values_of):
            for name in sorted(values_of):
                if names is not None and name not in names:
                    yield f"byPriorityClass[{name}]", f"match.priorityClassNames leaves {name} out"
                elif names is None and name == NODE_CRITICAL_CLASS:
                    why = "a policy applies to node-critical pods only if match.priorityClassNames has this class"
                    yield f"byPriorityClass[{name}]", why

# SPDX-License-Identifier: Apache-2.0
"""Find the priority that a policy gives to a pod, or the default, each with its reason."""

from typing import Final

from oompolicy.model import (
    CLUSTER_CRITICAL_CLASS,
    NODE_CRITICAL_CLASS,
    ByPriorityClass,
    ByQOSClass,
    Defaults,
    FixedPriority,
    OOMPolicy,
    Pod,
    QOSClass,
)
from oompolicy.resolve.matching import is_node_critical

_BUILT_IN: Final = Defaults()


def default_priority(pod: Pod, defaults: Defaults) -> tuple[int, str]:
    """Return the default of a pod, and the reason.

    The QoS class does not show that a pod is critical: kube-proxy has no requests. The kubelet protects node-critical
    pods like Guaranteed pods (pkg/kubelet/qos/policy.go GetContainerOOMScoreAdjust).
    """
    if is_node_critical(pod):
        kind = "static pods" if pod.static else f"PriorityClass {NODE_CRITICAL_CLASS}"
        return _default(defaults.node_critical, _BUILT_IN.node_critical, kind)
    if pod.priority_class_name == CLUSTER_CRITICAL_CLASS:
        kind = f"PriorityClass {CLUSTER_CRITICAL_CLASS}"
        return _default(defaults.cluster_critical, _BUILT_IN.cluster_critical, kind)
    return _default(defaults.of(pod.qos_class), _BUILT_IN.of(pod.qos_class), f"QoS class {pod.qos_class}")


def _default(value: int, built_in: int, kind: str) -> tuple[int, str]:
    """Return a default with its reason, which says whether OOMSettings has changed it."""
    return value, f"{'built-in default' if value == built_in else 'default of OOMSettings'} for {kind}"


def named_priority(policy: OOMPolicy, pod: Pod, defaults: Defaults) -> tuple[int, str]:
    """Return the pod's priority without its annotations, and the reason.

    If the policy has no value for the pod, this is the default.
    """
    value, why = _value(policy, pod)
    if value is None:
        value, reason = default_priority(pod, defaults)
        why = f"{why}, so {reason}"
    return value, f"OOMPolicy {policy.name} (precedence {policy.precedence}): {why}"


def _value(policy: OOMPolicy, pod: Pod) -> tuple[int | None, str]:
    match policy.priority:
        case FixedPriority(value):
            return value, f"value {value}"
        case ByQOSClass() as classes:
            return _of_qos_class(classes, pod.qos_class)
        case ByPriorityClass() as classes:
            return _of_priority_class(classes, pod.priority_class_name)


def _of_qos_class(classes: ByQOSClass, qos_class: QOSClass) -> tuple[int | None, str]:
    value = {
        QOSClass.GUARANTEED: classes.guaranteed,
        QOSClass.BURSTABLE: classes.burstable,
        QOSClass.BEST_EFFORT: classes.best_effort,
    }[qos_class]
    if value is None:
        return None, f"byQOSClass has no value for {qos_class}"
    return value, f"byQOSClass {qos_class} {value}"


def _of_priority_class(classes: ByPriorityClass, name: str | None) -> tuple[int | None, str]:
    if name is not None and name in classes.values:
        return classes.values[name], f"byPriorityClass {name} {classes.values[name]}"
    pod_class = f"PriorityClass {name}" if name else "a pod without PriorityClass"
    if classes.default is None:
        return None, f"byPriorityClass has no value for {pod_class} and no default"
    return classes.default, f"byPriorityClass default {classes.default} for {pod_class}"

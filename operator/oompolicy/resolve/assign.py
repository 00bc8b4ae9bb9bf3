# SPDX-License-Identifier: Apache-2.0
"""Assign priorities to one pod and its containers, by the policy that won or by the default.

A container has the pod's priority plus the policy's offset for it, or the priority of its own annotation.
The kill scope is that of the policy that won. A policy of lower precedence does not fill it in, so one policy decides
everything about a pod. No annotation changes it.

Every priority is within the range. Parsing refuses a policy whose own values and offsets leave the range. This module
refuses an annotation of the pod that would take a container with an offset outside the override, unless the policy
itself puts the container as far. If an offset is added to a default, the priority ends at the bound of the range, and
the container's reason says so.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from oompolicy.model import (
    MAX_PRIORITY,
    MAX_REFUSALS,
    MIN_PRIORITY,
    NODE_CRITICAL_CLASS,
    Assignment,
    Container,
    ContainerAssignment,
    Defaults,
    OOMPolicy,
    Override,
    Pod,
    Refusal,
)
from oompolicy.resolve.annotations import Ask, importance, read_annotations
from oompolicy.resolve.matching import is_node_critical
from oompolicy.resolve.priority import default_priority, named_priority

_ANNOTATION: Final = "annotation "
"""The first word of the reason of a priority that comes from an annotation."""


def assign_default(pod: Pod, defaults: Defaults) -> Assignment:
    """Return the assignment of a pod that no policy matches."""
    priority, reason = default_priority(pod, defaults)
    none = _no_policy(pod)
    if is_node_critical(pod):
        reason += f"; {none}"
    annotations = read_annotations(pod)
    refused = [ask.refused(f"{none}, so none allows annotations") for ask in annotations.asks]
    refusals, more = _described((*annotations.malformed, *refused), pod)
    return Assignment(
        pod_uid=pod.uid,
        cgroup_uid=pod.cgroup_uid,
        namespace=pod.namespace,
        pod_name=pod.name,
        priority=priority,
        reason=reason,
        source="default",
        containers=tuple(ContainerAssignment(each.name, each.kind, priority, reason) for each in pod.containers),
        refusals=refusals,
        more_refusals=more,
        unread=pod.unread,
        kind=pod.kind,
    )


def _no_policy(pod: Pod) -> str:
    if not is_node_critical(pod):
        return "no OOMPolicy matches this pod"
    if not pod.priority_class_name:
        return "no OOMPolicy applies to a static pod without a PriorityClass"
    names = " and ".join(dict.fromkeys((NODE_CRITICAL_CLASS, pod.priority_class_name)))
    return f"no OOMPolicy for this node-critical pod names {names} in match.priorityClassNames"


def assign_by(policy: OOMPolicy, pod: Pod, defaults: Defaults, *, overlapping: tuple[str, ...]) -> Assignment:
    """Return the assignment of a pod by the policy that won. `overlapping` lost to it by the order of names only."""
    annotations = read_annotations(pod)
    priority, reason = named_priority(policy, pod, defaults)
    allowed, refused = _judge(annotations.asks, policy, pod, priority)
    refusals, more = _described((*annotations.malformed, *refused), pod)
    ask = allowed.get(None)
    if ask:
        priority, reason = ask.priority, _permission(ask, policy)
    return Assignment(
        pod_uid=pod.uid,
        cgroup_uid=pod.cgroup_uid,
        namespace=pod.namespace,
        pod_name=pod.name,
        priority=priority,
        reason=reason,
        source="annotation" if ask else "policy",
        policy=policy.name,
        policy_uid=policy.uid,
        overlapping=overlapping,
        kill_scope=policy.kill_scope,
        containers=tuple(
            _asked(each, allowed[each.name], policy)
            if each.name in allowed
            else _shifted(each, priority, reason, _offset(policy, each))
            for each in pod.containers
        ),
        refusals=refusals,
        more_refusals=more,
        unread=pod.unread,
        kind=pod.kind,
    )


def _judge(asks: Sequence[Ask], policy: OOMPolicy, pod: Pod, value: int) -> tuple[dict[str | None, Ask], list[Refusal]]:
    """Return the allowed annotations by container name, with `None` for the pod, and the refusals of the others.

    `value` is the pod's priority without its annotations.
    """
    allowed: dict[str | None, Ask] = {}
    refused: list[Refusal] = []
    # The pod's annotation comes last: an offset counts against it only if the container has no annotation of its own.
    for ask in sorted(asks, key=lambda ask: ask.container is None):
        offset = [each for each in pod.containers if each.name not in allowed] if ask.container is None else []
        objection = _outside_override(ask, policy) or _shifted_outside(ask, policy, offset, value)
        if objection:
            refused.append(ask.refused(objection))
        else:
            allowed[ask.container] = ask
    return allowed, refused


def _outside_override(ask: Ask, policy: OOMPolicy) -> str | None:
    if policy.override is None:
        return f"OOMPolicy {policy.name} has no override, so it allows no annotations"
    if not policy.override.allows(ask.priority):
        return f"{ask.priority} is outside {policy.override}, which OOMPolicy {policy.name} allows"
    return None


def _shifted_outside(ask: Ask, policy: OOMPolicy, containers: Iterable[Container], value: int) -> str | None:
    """Return the objection if an offset takes a container outside the override and what the policy itself gives it."""
    for container in containers:
        offset = _offset(policy, container)
        if not (offset and policy.override):
            continue
        own, reached = _within(value + offset), ask.priority + offset
        allowed = Override(min(policy.override.min, own), max(policy.override.max, own))
        if not allowed.allows(reached):
            return (
                f"{ask.priority} with the offset {offset:+d} of OOMPolicy {policy.name} would put container"
                f" {container.name} at {reached}, outside {allowed}, which the policy allows this container"
            )
    return None


def _asked(container: Container, ask: Ask, policy: OOMPolicy) -> ContainerAssignment:
    return ContainerAssignment(container.name, container.kind, ask.priority, _permission(ask, policy))


def _shifted(container: Container, priority: int, reason: str, offset: int) -> ContainerAssignment:
    reached = _within(priority + offset)
    if offset:
        reason += f", offset {offset:+d}"
    if reached != priority + offset:
        reason += f", limited to {reached}"
    return ContainerAssignment(container.name, container.kind, reached, reason)


def _within(priority: int) -> int:
    return min(max(priority, MIN_PRIORITY), MAX_PRIORITY)


def _offset(policy: OOMPolicy, container: Container) -> int:
    return next((each.offset for each in policy.containers if each.name == container.name), 0)


def is_permission(reason: str) -> bool:
    """Return True if this is the reason of a priority that comes from an annotation."""
    return reason.startswith(_ANNOTATION)


def _permission(ask: Ask, policy: OOMPolicy) -> str:
    return f"{_ANNOTATION}{ask.annotation}, allowed by OOMPolicy {policy.name} ({policy.override})"


def _described(refusals: Sequence[Refusal], pod: Pod) -> tuple[tuple[Refusal, ...], int]:
    """Return the most important refusals, sorted by annotation, and the number of others."""
    kept = sorted(refusals, key=lambda refusal: importance(refusal.annotation))[:MAX_REFUSALS]
    more = len(refusals) - len(kept) + pod.annotations_left_out
    return tuple(sorted(kept, key=lambda refusal: refusal.annotation)), more

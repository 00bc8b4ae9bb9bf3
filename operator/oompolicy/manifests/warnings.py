# SPDX-License-Identifier: Apache-2.0
"""Find policies and settings that are valid and probably not meant. Pure.

Each warning says what happens and what to do instead.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import combinations
from operator import itemgetter
from typing import Any, Final

from oompolicy.manifests.collect import Manifests
from oompolicy.model import (
    MAX_PRIORITY,
    MIN_PRIORITY,
    NODE_CRITICAL_CLASS,
    Assignment,
    ByPriorityClass,
    ByQOSClass,
    Defaults,
    FixedPriority,
    KillScope,
    OOMPolicy,
    QOSClass,
)
from oompolicy.parse.problems import Problem
from oompolicy.resolve import Resolver
from oompolicy.resolve.disjoint import can_both_match
from oompolicy.resolve.modes import never_deciding
from oompolicy.resolve.unused import contradictions, unused_values

_EMPTY: Final = "is empty, so it selects all, and the API server refuses it; leave the field out, or name a label"

_Warn = Callable[[OOMPolicy, str, str], Problem]


def warnings_of(manifests: Manifests) -> tuple[Problem, ...]:
    """Return the warnings of all policies, in the order of the policies, and then of the settings.

    A warning about pods needs pods in the input: without any, two policies that could match the same pod overlap.
    """
    raws = [(file, raw) for file, raw in manifests.objects if raw.get("kind") == "OOMPolicy"]
    places = {policy.name: file for policy, (file, _) in zip(manifests.policies, raws, strict=True)}

    def warn(policy: OOMPolicy, field: str, message: str) -> Problem:
        return Problem(places[policy.name], f"OOMPolicy/{policy.name}", field, message)

    of_pods = _about_pods(manifests, warn) if manifests.pods else _about_pairs(manifests.policies, warn)
    found = [
        *(
            warn(policy, f"{field}.matchLabels", _EMPTY)
            for policy, (_, raw) in zip(manifests.policies, raws, strict=True)
            for field in _without_labels(raw["spec"].get("match", {}), "spec.match")
        ),
        *(each for policy in manifests.policies for each in _about_one(policy, manifests.defaults, warn)),
        *of_pods,
    ]
    order = [f"OOMPolicy/{policy.name}" for policy in manifests.policies]
    found.sort(key=lambda problem: order.index(problem.object))
    return (*found, *_about_settings(manifests))


def _about_settings(manifests: Manifests) -> Iterator[Problem]:
    if manifests.settings is None:
        return
    file, raw = next((file, raw) for file, raw in manifests.objects if raw.get("kind") == "OOMSettings")
    for index, entry in enumerate(raw["spec"].get("nodeModes", ())):
        for field in _without_labels(entry, f"spec.nodeModes[{index}]"):
            yield Problem(file, f"OOMSettings/{manifests.settings.name}", f"{field}.matchLabels", _EMPTY)
    for index, earlier in never_deciding(manifests.settings).items():
        if earlier is None:
            message = "never applies, because its requirements contradict each other"
        else:
            message = f"never applies, because spec.nodeModes[{earlier}] selects all of its nodes; put this entry first"
        yield Problem(file, f"OOMSettings/{manifests.settings.name}", f"spec.nodeModes[{index}]", message)


def _without_labels(raw: Mapping[str, Any], path: str) -> Iterator[str]:
    """Yield the path of each selector of an object whose matchLabels are there and empty."""
    for name, selector in raw.items():
        if name.endswith("Selector") and selector.get("matchLabels") == {}:
            yield f"{path}.{name}"


def _about_one(policy: OOMPolicy, defaults: Defaults, warn: _Warn) -> Iterator[Problem]:
    match = policy.match
    for selector in contradictions(match):
        message = "selects nothing, because its requirements contradict each other, so the policy never applies"
        yield warn(policy, f"spec.match.{selector}", f"{message}; correct the selector")
    if contradictions(match):
        return
    for field, why in unused_values(policy).items():
        message = f"never applies, because {why}; remove the value, or let spec.match select these pods"
        yield warn(policy, f"spec.priority.{field}", message)
    raised = _raised(policy, defaults)
    if match.pod_selector and match.pod_selector.requirements and match.namespace_selector is None and raised:
        message = (
            f"raises priorities {raised} by pod labels alone: every user who may label a pod, in any namespace,"
            " can use it; add a namespaceSelector"
        )
        yield warn(policy, "spec.match", message)
    lowered, phrase = min(_of_node_critical(policy, defaults), key=itemgetter(0), default=(defaults.node_critical, ""))
    if lowered < defaults.node_critical:
        message = (
            f"names {NODE_CRITICAL_CLASS}, so {phrase} priority {lowered} in place of"
            f" {defaults.node_critical}, and pods with a higher priority outlive them; leave the class out"
        )
        yield warn(policy, "spec.match.priorityClassNames", message)
    if policy.kill_scope is KillScope.POD and policy.containers:
        message = (
            "Pod with spec.containers: the container with the lowest priority decides when the pod dies, and takes the"
            " containers with a higher priority with it; use Container, or leave the offsets out"
        )
        yield warn(policy, "spec.killScope", message)


def _raised(policy: OOMPolicy, defaults: Defaults) -> str:
    """Return the largest raise above the default of a class that the policy can match, or nothing."""
    classes = policy.match.qos_classes or frozenset(QOSClass)
    reached = {qos_class: _highest(policy, qos_class, defaults) for qos_class in classes}
    raises = {qos_class: value for qos_class, value in reached.items() if value > defaults.of(qos_class)}
    if not raises:
        return ""
    qos_class = max(raises, key=lambda each: raises[each] - defaults.of(each))
    return f"(up to {raises[qos_class]}, and {defaults.of(qos_class)} is the default of {qos_class})"


def _highest(policy: OOMPolicy, qos_class: QOSClass, defaults: Defaults) -> int:
    """Return the highest priority that the policy can give to a container of a pod of this class.

    Annotations and offsets are included. Without a value in the policy, a pod has its default.
    """
    default = defaults.of(qos_class)
    match policy.priority:
        case FixedPriority(value):
            values = [value]
        case ByQOSClass() as by_class:
            value_of = {
                QOSClass.GUARANTEED: by_class.guaranteed,
                QOSClass.BURSTABLE: by_class.burstable,
                QOSClass.BEST_EFFORT: by_class.best_effort,
            }[qos_class]
            values = [default if value_of is None else value_of]
        case ByPriorityClass() as by_class:
            values = [*by_class.values.values(), default if by_class.default is None else by_class.default]
    shifted = min(max(values) + max([0, *_offsets(policy)]), MAX_PRIORITY)
    return max(shifted, policy.override.max) if policy.override else shifted


def _of_node_critical(policy: OOMPolicy, defaults: Defaults) -> Iterator[tuple[int, str]]:
    """Yield the lowest priority of each way in which the policy gives one to pods of system-node-critical.

    Each has a phrase that says who has it.
    """
    if NODE_CRITICAL_CLASS not in (policy.match.priority_class_names or ()):
        return
    match policy.priority:
        case FixedPriority(value):
            found: int | None = value
        case ByQOSClass(guaranteed, burstable, best_effort):
            found = min((each for each in (guaranteed, burstable, best_effort) if each is not None), default=None)
        case ByPriorityClass(values, default):
            found = values.get(NODE_CRITICAL_CLASS, default)
    lowest = defaults.node_critical if found is None else found
    yield lowest, "node-critical pods have"
    for offset in _offsets(policy):
        if offset < 0:
            yield max(lowest + offset, MIN_PRIORITY), "a container of a node-critical pod has"
    if policy.override:
        yield policy.override.min, "an annotation can give a node-critical pod"


def _offsets(policy: OOMPolicy) -> list[int]:
    return [each.offset for each in policy.containers]


def _about_pods(manifests: Manifests, warn: _Warn) -> Iterator[Problem]:
    resolver = Resolver(manifests.policies, manifests.namespaces, manifests.defaults)
    assignments = [resolver.assign(pod) for pod in manifests.pods]
    for policy in manifests.policies:
        alone = Resolver([policy], manifests.namespaces)
        if all(alone.assign(pod).policy is None for pod in manifests.pods):
            yield warn(policy, "spec.match", f"selects none of the {len(manifests.pods)} pods of this input")
        yield from _about_overlaps(policy, assignments, warn)


def _about_overlaps(policy: OOMPolicy, assignments: list[Assignment], warn: _Warn) -> Iterator[Problem]:
    """Yield a warning for each policy that loses to this one by its name, with one of the pods."""
    losers: dict[str, list[str]] = {}
    for each in assignments:
        for name in each.overlapping if each.policy == policy.name else ():
            kind = "pod" if each.kind == "Pod" else each.kind
            losers.setdefault(name, []).append(f"{kind} {each.namespace}/{each.pod_name}")
    for name, pods in sorted(losers.items()):
        more = f" and {len(pods) - 1} more" if len(pods) > 1 else ""
        message = (
            f"has the same precedence ({policy.precedence}) as OOMPolicy {name}, and both match {pods[0]}{more}:"
            f" {policy.name} applies, because its name comes first; give them different precedences"
        )
        yield warn(policy, "spec.precedence", message)


def _about_pairs(policies: tuple[OOMPolicy, ...], warn: _Warn) -> Iterator[Problem]:
    by_name = sorted(policies, key=lambda policy: policy.name)
    for first, second in combinations(by_name, 2):
        if first.precedence == second.precedence and can_both_match(first.match, second.match):
            message = (
                f"has the same precedence ({first.precedence}) as OOMPolicy {second.name}, and a pod can match both:"
                f" {first.name} would apply, because its name comes first; give them different precedences"
            )
            yield warn(first, "spec.precedence", message)

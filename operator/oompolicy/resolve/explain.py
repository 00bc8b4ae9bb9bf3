# SPDX-License-Identifier: Apache-2.0
"""Explain which policies match a pod, which nearly do, and why not. Pure.

Each condition of a policy is a requirement on one label, or one list of classes. A policy nearly matches if exactly one
condition fails and another one holds. A misspelt label looks like this.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from oompolicy.model import (
    NAMESPACE_NAME,
    NODE_CRITICAL_CLASS,
    LabelSelector,
    Match,
    OOMPolicy,
    Operator,
    Pod,
    Requirement,
)
from oompolicy.resolve.matching import is_node_critical, selects

Outcome = Literal["applies", "outranked", "nearly", "differs"]
_CRITICAL: Final = f"the pod is node-critical, and match.priorityClassNames does not name {NODE_CRITICAL_CLASS}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result for one policy and one pod.

    `applies` is the policy that wins, and `outranked` matches too. `nearly` and `differs` do not match.
    `reasons` are phrases that say why the policy does not apply.
    """

    policy: str
    precedence: int
    outcome: Outcome
    reasons: tuple[str, ...] = ()


def verdicts(policies: Iterable[OOMPolicy], labels: Mapping[str, str] | None, pod: Pod) -> tuple[Verdict, ...]:
    """Return the verdict of each policy, the highest precedence first.

    `labels` are those of the pod's namespace, or None if its object is unknown.
    """
    ordered = sorted(policies, key=lambda policy: (-policy.precedence, policy.name))
    conditions = {policy.name: list(_conditions(policy.match, labels, pod)) for policy in ordered}
    winner = next((policy for policy in ordered if not any(conditions[policy.name])), None)
    return tuple(_verdict(policy, conditions[policy.name], winner) for policy in ordered)


def _verdict(policy: OOMPolicy, conditions: list[str | None], winner: OOMPolicy | None) -> Verdict:
    reasons = tuple(each for each in conditions if each)
    if reasons:
        nearly = len(reasons) == 1 and (len(conditions) > 1 or reasons == (_CRITICAL,))
        return Verdict(policy.name, policy.precedence, "nearly" if nearly else "differs", reasons)
    if winner is None or policy is winner:
        return Verdict(policy.name, policy.precedence, "applies")
    if policy.precedence < winner.precedence:
        why = f"precedence {policy.precedence} is lower than {winner.precedence} of OOMPolicy {winner.name}"
    else:
        why = f"OOMPolicy {winner.name} has the same precedence, and its name comes first"
    return Verdict(policy.name, policy.precedence, "outranked", (why,))


def _conditions(match: Match, labels: Mapping[str, str] | None, pod: Pod) -> Iterator[str | None]:
    """Yield None for each condition that holds, and a phrase for each one that fails."""
    yield from _namespace(match.namespace_selector, labels, pod.namespace)
    yield from _labels(match.pod_selector, pod.labels, "the pod")
    if match.qos_classes is not None:
        holds = pod.qos_class in match.qos_classes
        yield None if holds else f"the QoS class is {pod.qos_class}, not {_either(match.qos_classes)}"
    names = match.priority_class_names
    if names is not None:
        found = f"is {pod.priority_class_name}, not" if pod.priority_class_name else "is missing, and must be"
        yield None if pod.priority_class_name in names else f"the PriorityClass {found} {_either(names)}"
    if is_node_critical(pod):
        yield None if NODE_CRITICAL_CLASS in (names or ()) else _CRITICAL


def _namespace(selector: LabelSelector | None, labels: Mapping[str, str] | None, name: str) -> Iterator[str | None]:
    known = {**(labels or {}), NAMESPACE_NAME: name}
    for each in selector.requirements if selector else ():
        if labels is None and each.key != NAMESPACE_NAME:
            yield f"the labels of namespace {name}, such as {each.key}, are unknown"
        else:
            yield from _labels(LabelSelector((each,)), known, f"namespace {name}")


def _labels(selector: LabelSelector | None, labels: Mapping[str, str], owner: str) -> Iterator[str | None]:
    for each in selector.requirements if selector else ():
        holds = selects(LabelSelector((each,)), labels)
        yield None if holds else _failed(each, labels.get(each.key), owner)


def _failed(requirement: Requirement, value: str | None, owner: str) -> str:
    key = requirement.key
    if value is None:
        values = f", which must be {_either(requirement.values)}" if requirement.values else ""
        return f"{owner} has no label {key}{values}"
    if requirement.operator is Operator.IN:
        return f"label {key} of {owner} is {value!r}, not {_either(requirement.values)}"
    forbidden = "must not exist" if requirement.operator is Operator.DOES_NOT_EXIST else f"must not be {value!r}"
    return f"label {key} of {owner} {forbidden}"


def _either(values: Iterable[str]) -> str:
    return " or ".join(sorted(values))

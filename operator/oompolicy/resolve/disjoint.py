# SPDX-License-Identifier: Apache-2.0
"""Decide whether one pod can match two policies, and whether one selector selects all that another selects. Pure."""

from dataclasses import replace

from oompolicy.model import NODE_CRITICAL_CLASS, LabelSelector, Match, Operator, Requirement

_ANY_OTHER_CLASS = "*"
"""Stands for all PriorityClasses that no policy names."""


def can_both_match(first: Match, second: Match) -> bool:
    """Return True if there can be a pod, in a namespace, that matches both."""
    if first.qos_classes and second.qos_classes and first.qos_classes.isdisjoint(second.qos_classes):
        return False
    return (
        not _classes(first, second).isdisjoint(_classes(second, first))
        and satisfiable(first.namespace_selector, second.namespace_selector)
        and satisfiable(first.pod_selector, second.pod_selector)
    )


def satisfiable(*selectors: LabelSelector | None) -> bool:
    """Return True if a set of labels fulfils all of these selectors. Each key can be decided by itself."""
    return all(_has_value(each) for each in _by_key(*selectors).values())


def implies(selector: LabelSelector, other: LabelSelector) -> bool:
    """Return True if all labels that fulfil `selector` fulfil `other` too."""
    given = _by_key(selector)
    return not satisfiable(selector) or not any(
        _has_value([*given.get(each.key, ()), _negated(each)]) for each in other.requirements
    )


def _classes(match: Match, other: Match) -> frozenset[str]:
    """Return the PriorityClasses that `match` allows, of all that one of the two names and one that none names."""
    if match.priority_class_names is not None:
        return match.priority_class_names
    # A policy applies to node-critical pods only if it names their class.
    return ((other.priority_class_names or frozenset()) | {_ANY_OTHER_CLASS}) - {NODE_CRITICAL_CLASS}


def _by_key(*selectors: LabelSelector | None) -> dict[str, list[Requirement]]:
    requirements = [each for selector in selectors if selector for each in selector.requirements]
    by_key: dict[str, list[Requirement]] = {}
    for requirement in requirements:
        by_key.setdefault(requirement.key, []).append(requirement)
    return by_key


def _negated(requirement: Requirement) -> Requirement:
    """Return the requirement that holds exactly where this one does not."""
    opposite = {
        Operator.IN: Operator.NOT_IN,
        Operator.NOT_IN: Operator.IN,
        Operator.EXISTS: Operator.DOES_NOT_EXIST,
        Operator.DOES_NOT_EXIST: Operator.EXISTS,
    }
    return replace(requirement, operator=opposite[requirement.operator])


def _has_value(requirements: list[Requirement]) -> bool:
    """Return True if one value of a label, or no label at all, fulfils all requirements on its key."""
    required = [each.values for each in requirements if each.operator is Operator.IN]
    operators = {each.operator for each in requirements}
    if Operator.DOES_NOT_EXIST in operators:
        return not operators & {Operator.IN, Operator.EXISTS}
    if not required:
        return True
    excluded = [each.values for each in requirements if each.operator is Operator.NOT_IN]
    return bool(frozenset.intersection(*required).difference(*excluded))

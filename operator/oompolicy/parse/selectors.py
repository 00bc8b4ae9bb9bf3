# SPDX-License-Identifier: Apache-2.0
"""Read a Kubernetes label selector, and refuse the same selectors as the API server."""

from oompolicy.model import LabelSelector, Operator, Requirement
from oompolicy.parse import names
from oompolicy.parse.fields import Field


def read_selector(selector: Field) -> LabelSelector:
    """Return the selector of `matchLabels` and `matchExpressions`. Without both it selects everything."""
    selector.known("matchLabels", "matchExpressions")
    labels, expressions = selector.child("matchLabels"), selector.child("matchExpressions")
    requirements = [_match_label(key, value) for key, value in labels.members().items()] if labels else []
    # Kubernetes takes an empty list here, and so do we: it means the same as none.
    if expressions and expressions.value != []:
        requirements += [_requirement(expression) for expression in expressions.items()]
    return LabelSelector(tuple(requirements))


def _match_label(key: str, value: Field) -> Requirement:
    if message := names.label_key(key):
        value.problem(message)
    return Requirement(key, Operator.IN, frozenset({value.name(names.label_value)}))


def _requirement(expression: Field) -> Requirement:
    expression.known("key", "operator", "values", required=("key", "operator"))
    key, operator, values = (expression.child(name) for name in ("key", "operator", "values"))
    return Requirement(key.name(names.label_key) if key else "", *_condition(operator, values))


def _condition(operator: Field, values: Field) -> tuple[Operator, frozenset[str]]:
    chosen = _operator(operator) if operator else None
    if chosen in (Operator.IN, Operator.NOT_IN):
        if not values:
            values.problem(f"is required with operator {chosen}")
            return chosen, frozenset()
        return chosen, frozenset(value.name(names.label_value) for value in values.items())
    if chosen and values and values.value != []:
        values.problem(f"must not be given with operator {chosen}")
    return chosen or Operator.EXISTS, frozenset()


def _operator(operator: Field) -> Operator | None:
    text = operator.text()
    if text in list(Operator):
        return Operator(text)
    if isinstance(operator.value, str):
        operator.problem(f"must be one of {', '.join(Operator)}, not {text!r}")
    return None

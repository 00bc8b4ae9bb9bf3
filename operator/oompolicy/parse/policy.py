# SPDX-License-Identifier: Apache-2.0
"""Read an OOMPolicy object strictly: an unknown field, and a value that is out of range or inconsistent, is refused.

There is one exception. The API server removes each field that its definition of OOMPolicy does not have, so an unknown
field belongs to a newer version than this program. It may be a default that every policy has since that definition was
applied. To refuse it would drop all policies at once.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from oompolicy.model import (
    DEFAULT_PRECEDENCE,
    MAX_OFFSET,
    MAX_PRECEDENCE,
    MAX_PRIORITY,
    MIN_OFFSET,
    MIN_PRECEDENCE,
    MIN_PRIORITY,
    ByPriorityClass,
    ByQOSClass,
    ContainerOffset,
    FixedPriority,
    KillScope,
    Match,
    OOMPolicy,
    Override,
    Priority,
    QOSClass,
    within_priorities,
)
from oompolicy.parse import names
from oompolicy.parse.fields import Field
from oompolicy.parse.problems import Problem, Report
from oompolicy.parse.selectors import read_selector

_MAX_GENERATION = 2**63 - 1
_FIELDS = ("precedence", "match", "priority", "containers", "override", "killScope")
_QOS_KEYS = ("guaranteed", "burstable", "bestEffort")


def parse_policy(raw: Mapping[str, Any], *, unknown: list[Problem] | None = None) -> OOMPolicy:
    """Return the policy `raw`. Raise `InvalidObject` with all its problems if it is not valid.

    `unknown` is for an object from an API server: the unknown fields are added to it, and the policy is read without
    them. A missing `precedence` is 0, and a missing `match` is empty.
    """
    metadata = raw.get("metadata")
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    report = Report(f"OOMPolicy/{name}" if isinstance(name, str) else "OOMPolicy", unknown)
    top = Field(raw, "", report)
    top.known("apiVersion", "kind", "metadata", "spec", "status", required=("metadata", "spec"))
    policy = _policy(top.child("metadata"), top.child("spec"))
    report.refuse_if_any()
    return policy


def _policy(metadata: Field, spec: Field) -> OOMPolicy:
    name, generation, uid = _identity(metadata)
    if spec:
        spec.known(*_FIELDS, required=("priority",))
    precedence, match, priority, containers, override, kill_scope = map(spec.child, _FIELDS)
    policy = OOMPolicy(
        name=name,
        generation=generation,
        uid=uid,
        precedence=precedence.integer(MIN_PRECEDENCE, MAX_PRECEDENCE) if precedence else DEFAULT_PRECEDENCE,
        match=_match(match) if match else Match(),
        priority=_priority(priority) if priority else FixedPriority(MIN_PRIORITY),
        containers=_offsets(containers) if containers else (),
        override=_override(override) if override else None,
        kill_scope=_kill_scope(kill_scope) if kill_scope else None,
    )
    if not spec.report.problems:
        _check_reach(policy, spec.report)
    return policy


def _identity(metadata: Field) -> tuple[str, int, str | None]:
    if metadata and not metadata.members().get("name"):
        metadata.child("name").problem("is required")
    name, generation, uid = (metadata.child(key) for key in ("name", "generation", "uid"))
    return (
        name.name(names.dns_subdomain) if name else "",
        generation.integer(0, _MAX_GENERATION) if generation else 0,
        uid.text() if uid else None,
    )


def _match(match: Field) -> Match:
    match.known("namespaceSelector", "podSelector", "qosClasses", "priorityClassNames")
    namespaces, pods = match.child("namespaceSelector"), match.child("podSelector")
    classes, class_names = match.child("qosClasses"), match.child("priorityClassNames")
    return Match(
        read_selector(namespaces) if namespaces else None,
        read_selector(pods) if pods else None,
        frozenset(_qos_class(item) for item in classes.items()) if classes else None,
        frozenset(item.name(names.dns_subdomain) for item in class_names.items()) if class_names else None,
    )


def _qos_class(item: Field) -> QOSClass:
    text = item.text()
    if text in list(QOSClass):
        return QOSClass(text)
    if isinstance(item.value, str):
        item.problem(f"must be one of {', '.join(QOSClass)}, not {text!r}")
    return QOSClass.BURSTABLE


def _priority(priority: Field) -> Priority:
    readers = {"value": _fixed, "byQOSClass": _by_qos_class, "byPriorityClass": _by_priority_class}
    priority.known(*readers)
    given = [name for name in readers if priority.child(name)]
    read = [readers[name](priority.child(name)) for name in given]
    if len(given) != 1 and isinstance(priority.value, Mapping):
        priority.problem(f"must have exactly one of {', '.join(readers)}; has {' and '.join(given) or 'none'}")
    return read[0] if read else FixedPriority(MIN_PRIORITY)


def _fixed(value: Field) -> Priority:
    return FixedPriority(value.integer(MIN_PRIORITY, MAX_PRIORITY))


def _by_qos_class(classes: Field) -> Priority:
    classes.known(*_QOS_KEYS)
    if classes.value == {}:
        classes.problem(f"must have at least one of {', '.join(_QOS_KEYS)}")
    given = [classes.child(key) for key in _QOS_KEYS]
    return ByQOSClass(*(item.integer(MIN_PRIORITY, MAX_PRIORITY) if item else None for item in given))


def _by_priority_class(classes: Field) -> Priority:
    values = {key: item.integer(MIN_PRIORITY, MAX_PRIORITY) for key, item in classes.members().items()}
    for key in values:
        if message := names.dns_subdomain(key):
            classes.problem(message)
    if classes.value == {}:
        classes.problem("must name at least one PriorityClass, or default")
    default = values.pop("default", None)
    return ByPriorityClass(values, default)


def _offsets(containers: Field) -> tuple[ContainerOffset, ...]:
    seen: set[str] = set()
    return tuple(_offset(item, seen) for item in containers.items())


def _offset(item: Field, seen: set[str]) -> ContainerOffset:
    item.known("name", "offset", required=("name", "offset"))
    name, offset = item.child("name"), item.child("offset")
    container = name.name(names.dns_label) if name else ""
    if container and container in seen:
        name.problem(f"{container!r} is named twice")
    seen.add(container)
    return ContainerOffset(container, offset.integer(MIN_OFFSET, MAX_OFFSET) if offset else 0)


def _override(override: Field) -> Override:
    override.known("min", "max", required=("min", "max"))
    low, high = (_bound(override.child(key)) for key in ("min", "max"))
    if low > high and not override.report.problems:
        override.problem(f"min {low} is above max {high}")
    return Override(min(low, high), high)


def _bound(bound: Field) -> int:
    return bound.integer(MIN_PRIORITY, MAX_PRIORITY) if bound else MIN_PRIORITY


def _kill_scope(kill_scope: Field) -> KillScope | None:
    text = kill_scope.text()
    if text in list(KillScope):
        return KillScope(text)
    if isinstance(kill_scope.value, str):
        kill_scope.problem(f"must be one of {', '.join(KillScope)}, not {text!r}")
    return None


def _check_reach(policy: OOMPolicy, report: Report) -> None:
    """Refuse an offset that takes a priority the policy itself names out of the range."""
    for index, container in enumerate(policy.containers):
        for path, value in _named_priorities(policy.priority):
            reached = value + container.offset
            if not within_priorities(reached):
                report.add(
                    f"spec.containers[{index}].offset",
                    f"{container.offset:+d} to spec.priority.{path} {value} makes {reached},"
                    f" outside {MIN_PRIORITY}..{MAX_PRIORITY}",
                )


def _named_priorities(priority: Priority) -> Iterator[tuple[str, int]]:
    if isinstance(priority, FixedPriority):
        yield "value", priority.value
    elif isinstance(priority, ByQOSClass):
        values = (priority.guaranteed, priority.burstable, priority.best_effort)
        yield from ((f"byQOSClass.{key}", v) for key, v in zip(_QOS_KEYS, values, strict=True) if v is not None)
    else:
        yield from ((f"byPriorityClass.{key}", value) for key, value in priority.values.items())
        if priority.default is not None:
            yield "byPriorityClass.default", priority.default

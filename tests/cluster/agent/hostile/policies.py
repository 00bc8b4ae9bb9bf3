# SPDX-License-Identifier: Apache-2.0
"""Make hostile OOMPolicies."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from tests.cluster.agent.hostile.case import APPLY, MERGE, YAML, Case
from tests.cluster.agent.hostile.values import (
    BIDI,
    ESCAPES,
    LONG,
    NUMBERS,
    TEXTS,
    junk,
    managed,
    number,
    places,
    twice,
    written,
)
from tests.cluster.objects import collection, location

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

CLASSES: Final = ("Guaranteed", "Burstable", "BestEffort")
LABELS: Final = (("app", "web"), ("app", "db"), ("tier", "prod"), ("tier", ""), ("example.com/x", "A_.-z"))
CONTAINERS: Final = ("app", "side", "init", "priority", "container", "0")
NAMES: Final = (
    *("Upper", "a..b", "-a", "a" * 254, "a/b", "%2e%2e", "\u540d", BIDI, ESCAPES, "", " ", "a b", ".", "..", "a\0b"),
)
_YAML: Final = (
    "{spec: {priority: {value: 10:50}}}",
    "spec: {priority: {value: 0o17}}",
    "spec: {priority: {value: .nan}}",
    "spec: {priority: {value: 1_000}}",
    "spec: {priority: {value: !!int '300'}}",
    "spec: {priority: !!python/object/apply:os.system ['true']}",
    "spec: {priority: {value: 300, value: 400}}",
    "a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b]\nspec: {priority: {value: 1}, d: *c}",
    "base: &base {value: 300}\nspec: {priority: {<<: *base}}",
    "spec:\n\tpriority: {value: 300}",
    "spec: {priority: {value: 300}}\n---\nspec: {priority: {value: 400}}",
    "spec: {priority: {value: 300}}\nspec: {priority: {value: 400}}",
    "spec: {priority: {true: 300, null: 1, 5: 2}}",
    "\ufeffspec: {priority: {value: 300}}",
)


def selector(rng: Random) -> dict[str, Any]:
    """Return a valid selector, which may contradict itself."""
    made: dict[str, Any] = {}
    if rng.random() < 0.6:
        made["matchLabels"] = dict(rng.sample(LABELS, rng.randint(0, 2)))
    if rng.random() < 0.6:
        made["matchExpressions"] = [requirement(rng) for _ in range(rng.choice([0, 1, 2, 32]))]
    return made


def requirement(rng: Random) -> dict[str, Any]:
    """Return a valid requirement with any operator."""
    key, value = rng.choice(LABELS)
    operator = rng.choice(["In", "NotIn", "Exists", "DoesNotExist"])
    values = [value, *(rng.choice(LABELS)[1] for _ in range(rng.choice([0, 1, 63])))]
    return {"key": key, "operator": operator} | ({"values": values} if operator.endswith("In") else {})


def priority(rng: Random) -> dict[str, Any]:
    """Return a valid rule for the priority."""
    first, second = rng.randint(0, 1000), rng.randint(0, 1000)
    rules: list[dict[str, Any]] = [
        {"value": first},
        {"byQOSClass": {"guaranteed": first, "bestEffort": second}},
        {"byPriorityClass": {"default": first, "system-node-critical": second}},
    ]
    return rng.choice(rules)


def spec(rng: Random) -> dict[str, Any]:
    """Return a valid spec."""
    made: dict[str, Any] = {"priority": priority(rng), "match": {}}
    if rng.random() < 0.7:
        made["precedence"] = rng.choice([0, 1, 1, 2, 999_999])
    for key in ("namespaceSelector", "podSelector"):
        if rng.random() < 0.5:
            made["match"][key] = selector(rng)
    if rng.random() < 0.3:
        made["match"]["qosClasses"] = rng.sample(CLASSES, rng.randint(1, 3))
    if rng.random() < 0.3:
        made["match"]["priorityClassNames"] = rng.sample(["system-node-critical", "high", "none.at-all"], 2)
    if rng.random() < 0.3:
        low, high = sorted(rng.sample(range(1001), 2))
        made["override"] = {"min": low, "max": high}
    if rng.random() < 0.3 and "value" in made["priority"]:
        made["priority"]["value"] = 500
        made["containers"] = [{"name": name, "offset": rng.randint(-500, 500)} for name in rng.sample(CONTAINERS, 2)]
    if rng.random() < 0.2:
        made["killScope"] = rng.choice(["Container", "Pod", "Process"])
    return made


def _replace(rng: Random, made: dict[str, Any]) -> str:
    holder, key, path = rng.choice(list(places(made["spec"], "spec")))
    holder[key] = junk(rng)
    return path


def _number(rng: Random, made: dict[str, Any]) -> str:
    field = rng.choice(["value", "precedence", "min", "offset"])
    value = number(rng.choice(NUMBERS))
    if field == "value":
        made["spec"]["priority"] = {"value": value}
        return "spec.priority"
    if field == "min":
        made["spec"]["override"] = {"min": value, "max": 1000}
        return "spec.override"
    if field == "offset":
        made["spec"]["containers"] = [{"name": "app", "offset": value}]
        return "spec.containers"
    made["spec"]["precedence"] = value
    return "spec.precedence"


def _unknown(rng: Random, made: dict[str, Any]) -> str:
    holders = [
        (made["spec"], "spec"),
        (made["spec"]["match"], "spec.match"),
        (made["spec"]["priority"], "spec.priority"),
    ]
    holder, path = rng.choice(holders)
    key = rng.choice(["extra", "Value", "VALUE", "value ", "__proto__", "$ref", "x" * 300])
    holder[key] = junk(rng)
    return f"{path}.{key}"


def _twice(rng: Random, made: dict[str, Any]) -> str:
    made["spec"]["priority"] = {"value": 1, twice("value"): 999, twice("value", 2): rng.choice([5, None, "x"])}
    return "spec.priority.value"


def _many(rng: Random, made: dict[str, Any]) -> str:
    count = rng.choice([33, 65, 5_000])
    field = rng.choice(["matchLabels", "matchExpressions", "values", "containers", "byPriorityClass", "names"])
    match = made["spec"]["match"]
    if field == "matchLabels":
        match["podSelector"] = {"matchLabels": {f"a{each}": "b" for each in range(count)}}
    elif field == "matchExpressions":
        match["podSelector"] = {"matchExpressions": [{"key": "a", "operator": "Exists"}] * count}
    elif field == "values":
        values = [f"a{each}" for each in range(max(count, 65))]
        match["podSelector"] = {"matchExpressions": [{"key": "a", "operator": "In", "values": values}]}
    elif field == "containers":
        made["spec"]["priority"] = {"value": 500}
        made["spec"]["containers"] = [{"name": f"c{each}", "offset": 1} for each in range(max(count, 65))]
        return "spec.containers"
    elif field == "byPriorityClass":
        made["spec"]["priority"] = {"byPriorityClass": {f"c{each}": 1 for each in range(max(count, 65))}}
        return "spec.priority.byPriorityClass"
    else:
        match["priorityClassNames"] = ["a"] * max(count, 65)
        return "spec.match.priorityClassNames"
    return "spec.match.podSelector"


def _label(rng: Random, made: dict[str, Any]) -> str:
    key, value = rng.choice([("a", rng.choice(TEXTS)), (rng.choice(TEXTS), "a")])
    expressions = [{"key": key, "operator": rng.choice(["In", "Gt", "in", "", "Exists"]), "values": [value]}]
    made["spec"]["match"]["podSelector"] = rng.choice(
        [{"matchLabels": {key: value}}, {"matchExpressions": expressions}]
    )
    return "spec.match.podSelector"


def _metadata(rng: Random, made: dict[str, Any]) -> str:
    field = rng.choice(
        ["name", "labels", "annotations", "generateName", "finalizers", "ownerReferences", "namespace", "managedFields"]
    )
    made["metadata"][field] = {
        "name": rng.choice(NAMES),
        "labels": {rng.choice(TEXTS): rng.choice(TEXTS)},
        "annotations": {f"a/{LONG}": rng.choice(TEXTS), "oompolicy.dev/priority": "1"},
        "generateName": "0" * 300,
        "finalizers": [rng.choice(TEXTS)],
        "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "node-1", "uid": rng.choice(TEXTS)}],
        "namespace": "default",
        "managedFields": managed(rng.choice([500, 3_000, 9_900])),
    }[field]
    return f"metadata.{field}"


def _none(_rng: Random, _made: dict[str, Any]) -> str:
    return "spec"


MUTATIONS: Final[tuple[Callable[[Random, dict[str, Any]], str], ...]] = (
    *(_replace, _replace, _number, _number, _unknown, _twice, _many, _label, _metadata, _none, _none, _none),
)


def policy(rng: Random, name: str, others: list[str]) -> Case:
    """Make one request about an OOMPolicy: a new one, or a change of one of the `others`."""
    if others and rng.random() < 0.25:
        return _change(rng, rng.choice(others))
    if rng.random() < 0.08:
        return _by_yaml(rng, name)
    made = {"apiVersion": "oompolicy.dev/v1alpha1", "kind": "OOMPolicy", "metadata": {"name": name}, "spec": spec(rng)}
    fields = [rng.choice(MUTATIONS)(rng, made) for _ in range(rng.choice([1, 1, 2]))]
    if rng.random() < 0.05:
        made["spec"] = junk(rng)
        fields.append("spec")
    return Case("OOMPolicy", name, "POST", collection("OOMPolicy"), written(made), tuple(fields))


def _by_yaml(rng: Random, name: str) -> Case:
    head = f"apiVersion: oompolicy.dev/v1alpha1\nkind: OOMPolicy\nmetadata: {{name: {name}}}\n"
    text = rng.choice(_YAML)
    body = text if text.startswith(("{", "\ufeff")) else head + text
    return Case("OOMPolicy", name, "POST", collection("OOMPolicy"), body.encode(), (), YAML)


def _change(rng: Random, name: str) -> Case:
    """Change a stored policy: its spec, its status, or its name by server-side apply, or delete it."""
    path = location("OOMPolicy", name)
    what = rng.choice(["spec", "spec", "status", "status", "apply", "delete"])
    if what == "delete":
        return Case("OOMPolicy", name, "DELETE", path, b"", ("metadata",))
    if what == "status":
        body = {"status": rng.choice(STATUSES)(rng)}
        return Case("OOMPolicy", name, "PATCH", f"{path}/status", written(body), ("status",), MERGE)
    made: dict[str, Any] = {"metadata": {}, "spec": spec(rng)}
    # A valid field may not fit a stored one, such as a second rule for the priority.
    fields = (rng.choice(MUTATIONS)(rng, made), "spec")
    if what == "spec":
        return Case("OOMPolicy", name, "PATCH", path, written(made), fields, MERGE)
    made |= {"apiVersion": "oompolicy.dev/v1alpha1", "kind": "OOMPolicy"}
    query = {"fieldManager": "hostile", "force": "true", "fieldValidation": "Strict"}
    return Case("OOMPolicy", name, "PATCH", path, written(made), fields, APPLY, query)


STATUSES: Final[tuple[Callable[[Random], Any], ...]] = (
    lambda _: None,
    lambda _: {"conditions": None, "matchedPods": None},
    lambda rng: {"conditions": junk(rng)},
    lambda rng: {"observedGeneration": number(rng.choice(NUMBERS))},
    lambda rng: {"matchedPods": number(rng.choice(NUMBERS))},
    lambda rng: {"conditions": [forged(rng, kind) for kind in ("Ready", "Overlapping", "Else")]},
    junk,
)


def forged(rng: Random, kind: str) -> dict[str, Any]:
    """Return a condition that a user wrote."""
    return {
        "type": kind,
        "status": rng.choice(["True", "False", "Unknown"]),
        "reason": rng.choice(["Valid", "Hacked", "A"]),
        "message": rng.choice(["", BIDI, ESCAPES, "x" * 1_000]),
        "lastTransitionTime": rng.choice(
            ["1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-11-25T12:00:00.5+14:00"]
        ),
    }


def as_text(body: bytes) -> str:
    """Return the first characters of a body for a report."""
    return json.dumps(body.decode(errors="replace"))[:600]

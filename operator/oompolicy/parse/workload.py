# SPDX-License-Identifier: Apache-2.0
"""Read the pod template of a workload, so that the priority of its pods is known before they exist.

The pod has the name of the workload, because a pod that the template makes has a random one.
"""

import uuid
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from oompolicy.model import Pod
from oompolicy.parse.fields import kind_of
from oompolicy.parse.pod import parse_pod
from oompolicy.parse.problems import InvalidObject, Problem

_APPS: Final = "apps/v1"
_BATCH: Final = "batch/v1"
API_VERSIONS: Final[Mapping[str, str]] = {
    "Deployment": _APPS,
    "StatefulSet": _APPS,
    "DaemonSet": _APPS,
    "ReplicaSet": _APPS,
    "Job": _BATCH,
    "CronJob": _BATCH,
}
"""The kinds that have a pod template, and the version of each kind that is read."""
_STAND_IN: Final = uuid.UUID("6f6f6d70-6f6c-4963-b977-6f726b6c6f61")
_OWN: Final = ("metadata.name", "metadata.namespace", "metadata.uid")


def template_path(kind: str) -> str:
    """Return the path of the pod in an object of a kind, which is empty for a Pod."""
    if kind == "CronJob":
        return "spec.jobTemplate.spec.template"
    return "spec.template" if kind in API_VERSIONS else ""


def parse_workload(raw: Mapping[str, Any]) -> Pod:
    """Return the pod of a workload's template. Raise `InvalidObject` with the places in the workload."""
    kind = str(raw["kind"])
    try:
        return replace(parse_pod(_pod_of(raw, kind)), kind=kind)
    except InvalidObject as error:
        raise InvalidObject(tuple(_placed(problem, kind) for problem in error.problems)) from error


def _pod_of(raw: Mapping[str, Any], kind: str) -> dict[str, Any]:
    metadata, template = _mapping(raw.get("metadata")), _template(raw, kind)
    space, name = metadata.get("namespace") or "default", metadata.get("name")
    own = {
        "name": name,
        "namespace": space,
        "uid": metadata.get("uid") or str(uuid.uuid5(_STAND_IN, f"{kind}/{space}/{name}")),
    }
    shared = _mapping(template.get("metadata"))
    both = {key: shared[key] for key in ("labels", "annotations") if key in shared}
    return {"metadata": {**both, **own}, "spec": template.get("spec")}


def _template(raw: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    value: object = raw
    path = template_path(kind)
    for name in path.split("."):
        value = _mapping(value).get(name)
    if not isinstance(value, Mapping):
        message = "is required" if value is None else f"must be an object, not {kind_of(value)}"
        raise InvalidObject((Problem(None, _called(raw), path, message),))
    return value


def _called(raw: Mapping[str, Any]) -> str:
    metadata = _mapping(raw.get("metadata"))
    parts = ("Pod", metadata.get("namespace", "default"), metadata.get("name"))
    return "/".join(part for part in parts if isinstance(part, str))


def _placed(problem: Problem, kind: str) -> Problem:
    """Return the problem with the workload's kind and the place of the pod's field in the workload."""
    name = kind + problem.object.removeprefix("Pod")
    path = template_path(kind)
    own = problem.field in _OWN or problem.field.startswith(path)
    return replace(problem, object=name, field=problem.field if own else f"{path}.{problem.field}")


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}

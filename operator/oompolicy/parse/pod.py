# SPDX-License-Identifier: Apache-2.0
"""Read the needed fields of Pods and Namespaces.

`read_pod` reads a pod of the API server as far as possible. The priority of the pod depends on its labels, its
namespace, its QoS class, its PriorityClass and its annotations. No other field can change it, even if it is invalid.
`parse_pod` reads a pod of a file completely or not at all.
"""

import uuid
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any, Final, NamedTuple

from oompolicy.mirror import MIRROR, read_mirror
from oompolicy.model import Container, ContainerKind, Namespace, Pod, QOSClass, Unread
from oompolicy.parse.fields import Field
from oompolicy.parse.problems import Report
from oompolicy.parse.resources import (
    Demand,
    Resources,
    memory_request,
    qos_class,
    read_amounts,
    read_pod_resources,
    read_resources,
)

LEFT_OUT: Final = "annotationsLeftOut"
"""The field in the metadata of a trimmed pod that holds `Pod.annotations_left_out`. No object of the API has it."""
_MAX_LEFT_OUT: Final = 1_000_000
_STAND_IN: Final = uuid.UUID("6f6f6d70-6f6c-4963-b973-74616e64696e")
_MOST_UNREAD: Final = 10
_DECIDING: Final = (
    "metadata.name",  # and metadata.namespace
    "metadata.uid",
    "metadata.labels",
    "status.qosClass",
    "spec.priorityClassName",
)
_MEMORY: Final = "memory"
_STATUSES: Final = ("containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses")


class _Part(NamedTuple):
    kind: ContainerKind
    name: str
    resources: Resources


def parse_namespace(raw: Mapping[str, Any]) -> Namespace:
    """Return the namespace `raw`. Raise `InvalidObject` if it has no name, or if a label is no string."""
    report = Report(_called(raw, "Namespace"))
    metadata = Field(raw, "", report).child("metadata")
    namespace = Namespace(_required(metadata.child("name")), _strings(metadata.child("labels")))
    report.refuse_if_any()
    return namespace


def parse_pod(raw: Mapping[str, Any], *, stand_in_uid: bool = False) -> Pod:
    """Return the pod `raw`. Raise `InvalidObject` if a needed field is missing or has the wrong type.

    A pod without a uid is an error, because its cgroup cannot be found. With `stand_in_uid`, a hand-written pod gets a
    uid computed from its namespace and name. A missing namespace is `default`. The QoS class is computed if the status
    does not have it.
    """
    report = Report(_called(raw, "Pod"))
    pod = _pod(raw, report, stand_in_uid=stand_in_uid)
    report.refuse_if_any()
    return pod


def read_pod(raw: Mapping[str, Any]) -> Pod:
    """Return the pod `raw` without the fields that cannot be read. `unread` names the first ten of them.

    Raise `InvalidObject` if name, uid or a field that decides the priority cannot be read.
    """
    report = Report(_called(raw, "Pod"))
    pod = _pod(raw, report, stand_in_uid=False)
    if any(problem.field.startswith(_DECIDING) for problem in report.problems):
        report.refuse_if_any()
    unread = (Unread(problem.field, problem.message) for problem in report.problems[:_MOST_UNREAD])
    return replace(pod, unread=tuple(unread))


def _pod(raw: Mapping[str, Any], report: Report, *, stand_in_uid: bool) -> Pod:
    top = Field(raw, "", report)
    metadata, spec, status = (top.child(key) for key in ("metadata", "spec", "status"))
    namespace, name = _text(metadata.child("namespace")) or "default", _required(metadata.child("name"))
    if stand_in_uid and not _text(metadata.child("uid")):
        uid = str(uuid.uuid5(_STAND_IN, f"{namespace}/{name}"))
    else:
        uid = _required(metadata.child("uid"))
    annotations = _strings(metadata.child("annotations"))
    entries = [entry for key in _STATUSES for entry in _list(status.child(key))]
    ids, running = _container_ids(entries), _running(entries)
    parts = _parts(spec)
    demand = _demand(spec, parts)
    granted = _granted(parts, entries)
    return Pod(
        uid=uid,
        namespace=namespace,
        name=name,
        node_name=_text(spec.child("nodeName")),
        labels=_strings(metadata.child("labels")),
        annotations=annotations,
        qos_class=_qos_class(status.child("qosClass")) or qos_class(demand),
        priority_class_name=_text(spec.child("priorityClassName")),
        containers=tuple(_container(part, ids, running) for part in granted if part.name),
        cgroup_uid=annotations.get(MIRROR) or uid,
        phase=_text(status.child("phase")),
        memory_request=memory_request(_of_parts(demand, granted)),
        mirror=read_mirror(raw),
        annotations_left_out=_count(metadata.child(LEFT_OUT)),
    )


def _called(raw: Mapping[str, Any], kind: str) -> str:
    metadata = raw.get("metadata")
    if not isinstance(metadata, Mapping):
        return kind
    parts = (metadata.get("namespace", "default") if kind == "Pod" else None, metadata.get("name"))
    return "/".join([kind, *(part for part in parts if isinstance(part, str))])


def _given(field: Field) -> bool:
    """Return True if the field has a value. The API server leaves out empty fields, others set null."""
    return bool(field) and field.value is not None


def _text(field: Field) -> str | None:
    return (field.text() or None) if _given(field) else None


def _count(field: Field) -> int:
    return field.integer(0, _MAX_LEFT_OUT) if _given(field) else 0


def _required(field: Field) -> str:
    text = _text(field)
    if not text and (not _given(field) or field.value == ""):
        field.problem("is required")
    return text or ""


def _strings(field: Field) -> dict[str, str]:
    members = field.members() if _given(field) else {}
    texts = {key: item.text() for key, item in members.items()}
    return {key: text for key, text in texts.items() if isinstance(members[key].value, str)}


def _list(field: Field) -> list[Field]:
    return field.items() if _given(field) and field.value != [] else []


def _qos_class(field: Field) -> QOSClass | None:
    text = _text(field)
    if text is None or text in list(QOSClass):
        return QOSClass(text) if text else None
    field.problem(f"must be one of {', '.join(QOSClass)}, not {text!r}")
    return None


def _parts(spec: Field) -> list[_Part]:
    """Return all containers in the order of starting."""
    kinds: list[tuple[ContainerKind, Field]] = [
        *(("sidecar" if _is_sidecar(item) else "init", item) for item in _list(spec.child("initContainers"))),
        *(("container", item) for item in _list(spec.child("containers"))),
        *(("ephemeral", item) for item in _list(spec.child("ephemeralContainers"))),
    ]
    return [_Part(kind, _required(item.child("name")), read_resources(item.child("resources"))) for kind, item in kinds]


def _granted(parts: list[_Part], entries: list[Field]) -> list[_Part]:
    """Return the parts with the memory request that the kubelet has granted, where it is smaller than that of the spec.

    A user may raise a request in the spec to more than the node has. The kubelet then calls the resize infeasible, and
    the container runs on with what it was granted (`allocatedResources` in its status, KEP-1287).
    """
    found = {
        _required(entry.child("name")): amounts[_MEMORY]
        for entry in entries
        if _MEMORY in (amounts := read_amounts(entry.child("allocatedResources")))
    }
    if not found:
        return parts
    return [part._replace(resources=_at_most(part.resources, found.get(part.name))) for part in parts]


def _at_most(resources: Resources, granted: Fraction | None) -> Resources:
    asked = resources.requests.get(_MEMORY)
    if asked is None or granted is None:
        return resources
    return replace(resources, requests={**resources.requests, _MEMORY: min(asked, granted)})


def _is_sidecar(item: Field) -> bool:
    """KEP-753: an init container that is restarted runs as long as the pod."""
    return item.child("restartPolicy").value == "Always"


def _demand(spec: Field, parts: list[_Part]) -> Demand:
    pod, overhead = read_pod_resources(spec.child("resources")), read_amounts(spec.child("overhead"))
    return _of_parts(Demand([], [], pod, overhead), parts)


def _of_parts(demand: Demand, parts: list[_Part]) -> Demand:
    return replace(
        demand,
        init=[(part.kind == "sidecar", part.resources) for part in parts if part.kind in ("init", "sidecar")],
        containers=[part.resources for part in parts if part.kind == "container"],
    )


def _container(part: _Part, ids: Mapping[str, tuple[str, ...]], running: frozenset[str]) -> Container:
    request = memory_request(Demand([], [part.resources]))
    return Container(part.name, part.kind, ids.get(part.name, ()), request, part.name in running)


def _container_ids(entries: list[Field]) -> dict[str, tuple[str, ...]]:
    return {_required(entry.child("name")): tuple(_ids_of(entry)) for entry in entries}


def _running(entries: list[Field]) -> frozenset[str]:
    """Return the names of the containers that run and have an id."""
    running = [entry for entry in entries if _given(entry.child("state").child("running")) and _ids_of(entry)]
    return frozenset(_required(entry.child("name")) for entry in running)


def _ids_of(entry: Field) -> list[str]:
    """Return the current id and the id of the last run, whose end can be reported after the next run has begun."""
    last = entry.child("lastState").child("terminated")
    found = [_text(holder.child("containerID")) for holder in (entry, last)]
    return list(dict.fromkeys(found_id.rpartition("://")[2] for found_id in found if found_id))

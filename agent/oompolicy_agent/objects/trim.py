# SPDX-License-Identifier: Apache-2.0
"""Trims raw manifests to the parts that resolution and mapping need, for the agent's memory and the checkpoint.

The environment, the volumes and the foreign annotations of a pod can hold secrets, which must not be in the agent's
files. 300 whole pods also take megabytes. Parsing a trimmed object gives the same record without these annotations.

An object can have 1.5 MB, and its owner chooses the content. So no part of unlimited length is kept whole. A pod that
has far more parts than usual keeps only the parts that can change a priority.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from oompolicy.mirror import MIRROR
from oompolicy.model import MAX_REFUSALS
from oompolicy.parse.pod import LEFT_OUT
from oompolicy.resolve.annotations import CONTAINER_ANNOTATION, POD_ANNOTATION, PREFIX, importance
from oompolicy.text import clip

if TYPE_CHECKING:
    from collections.abc import Iterable

_METADATA: Final = ("name", "namespace", "uid", "generation")
_ORIGIN: Final = ("creationTimestamp", "ownerReferences")
"""The fields that give the origin of a mirror pod."""
_POD_SPEC: Final = ("nodeName", "priorityClassName")
_CONTAINERS: Final = ("initContainers", "containers", "ephemeralContainers")
_IDS: Final = frozenset({"containerID", "lastState"})
_STATUSES: Final = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")

MANY_CONTAINERS: Final = 100
"""The number of containers of each kind that a pod keeps. Of the others it keeps containers that ran, and as many that
have an annotation."""
_VALUE: Final = 128
"""Characters of an annotation that are kept. Every valid value is far shorter."""
_HUGE_PAGES: Final = 8
"""The number of huge page sizes of one container that are kept. No architecture has more."""

_WITH_SPEC: Final = frozenset({"OOMPolicy", "OOMSettings", "OOMNode"})
_Object = Mapping[str, Any]


def trim(raw: _Object) -> dict[str, Any]:
    """Return the needed parts of an object of a kind that the agent reads.

    A value of the wrong type is left out, or kept so that the parser reports it.
    """
    short = _only(raw, ("apiVersion", "kind"))
    if raw["kind"] == "Pod":
        return short | _pod(raw)
    short["metadata"] = _only(raw["metadata"], (*_METADATA, "labels"))
    if "spec" in raw and raw["kind"] in _WITH_SPEC:
        short["spec"] = raw["spec"]
    return short


def _pod(raw: _Object) -> dict[str, Any]:
    spec, status = _object(raw.get("spec")), _pod_status(_object(raw.get("status")))
    every = _object(raw["metadata"].get("annotations"))
    containers = [_name(container) for key in _CONTAINERS for container in _objects(spec.get(key))]
    asked = islice((name for name in containers if f"{CONTAINER_ANNOTATION}{name}" in every), MANY_CONTAINERS)
    # Without a QoS class in the status, the class follows from the resources of all containers.
    needed = {*_that_ran(status), *asked} if status.get("qosClass") else {*containers}
    short_spec = _pod_spec(spec, needed)
    kept = [_name(container) for key in _CONTAINERS for container in short_spec.get(key, ())]
    origin = _only(raw["metadata"], _ORIGIN) if MIRROR in every else {}
    metadata = _only(raw["metadata"], _METADATA) | origin | _annotations(every, kept, containers)
    if labels := raw["metadata"].get("labels"):
        metadata["labels"] = labels
    return {"metadata": metadata, "spec": short_spec, "status": status}


def _annotations(every: _Object, kept: Iterable[str], containers: Iterable[str]) -> dict[str, Any]:
    """Return the annotations with our prefix that may apply, the most important others, and the number left out."""
    obeyed = {MIRROR, POD_ANNOTATION, *(f"{CONTAINER_ANNOTATION}{name}" for name in kept)}
    known = {*obeyed, *(f"{CONTAINER_ANNOTATION}{name}" for name in containers)}
    odd = [key for key in every if key.startswith(PREFIX) and key not in known]
    described = heapq.nsmallest(MAX_REFUSALS, odd, key=importance)
    short = {key: _clipped(text) for key, text in every.items() if key in obeyed}
    short |= {key: _clipped(every[key]) for key in described}
    left_out = len(odd) - len(described)
    return ({"annotations": short} if short else {}) | ({LEFT_OUT: left_out} if left_out else {})


def _pod_spec(raw: _Object, needed: set[str]) -> dict[str, Any]:
    short = _only(raw, _POD_SPEC) | _resources(raw)
    if raw.get("overhead"):
        short["overhead"] = _amounts(raw["overhead"])
    return short | {key: _containers(_objects(raw[key]), needed) for key in _CONTAINERS if raw.get(key)}


def _containers(raw: list[_Object], needed: set[str]) -> list[dict[str, Any]]:
    """Return the containers to keep. A container that never ran has no process and no cgroup."""
    kept = [each for number, each in enumerate(raw) if number < MANY_CONTAINERS or _name(each) in needed]
    return [_only(each, ("name", "restartPolicy")) | _resources(each) for each in kept]


def _resources(raw: _Object) -> dict[str, Any]:
    every = raw.get("resources")
    if not isinstance(every, Mapping):
        return _only(raw, ("resources",))
    return {"resources": {key: _amounts(every[key]) for key in ("requests", "limits") if every.get(key)}}


def _amounts(raw: object) -> object:
    """Return the amounts of CPU, memory and huge pages. A pod can have thousands of extended resources."""
    if not isinstance(raw, Mapping):
        return raw
    huge = sorted(name for name in raw if name.startswith("hugepages-"))[:_HUGE_PAGES]
    return _only(raw, ("cpu", "memory", *huge))


def _pod_status(raw: _Object) -> dict[str, Any]:
    """Return the status with the container statuses that have an ID. A container that never ran has none."""
    statuses = {key: [_container_status(each) for each in _objects(raw.get(key))] for key in _STATUSES}
    ran = {key: [each for each in found if _IDS & set(each)] for key, found in statuses.items()}
    return _only(raw, ("phase", "qosClass")) | {key: found for key, found in ran.items() if found}


def _that_ran(short: _Object) -> set[str]:
    return {_name(each) for key in _STATUSES for each in short.get(key, ())}


def _container_status(raw: _Object) -> dict[str, Any]:
    last = _object(_object(raw.get("lastState")).get("terminated")).get("containerID")
    state = raw.get("state")
    running = isinstance(state, Mapping) and state.get("running") is not None
    granted = _only(_object(raw.get("allocatedResources")), ("memory",))
    return (
        _only(raw, ("name", "containerID"))
        | ({"allocatedResources": granted} if granted else {})
        | ({"state": {"running": {}}} if running else {})
        | ({"lastState": {"terminated": {"containerID": last}}} if last else {})
    )


def _only(raw: _Object, keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: raw[key] for key in keys if raw.get(key) is not None}


def _object(value: object) -> _Object:
    return value if isinstance(value, Mapping) else {}


def _objects(value: object) -> list[_Object]:
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def _name(raw: _Object) -> str:
    name = raw.get("name")
    return name if isinstance(name, str) else ""


def _clipped(text: object) -> object:
    return clip(text, _VALUE) if isinstance(text, str) else text

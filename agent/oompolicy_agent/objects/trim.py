# SPDX-License-Identifier: Apache-2.0
"""Cuts raw manifests down to what resolution and mapping need, for the agent's memory and the checkpoint.

A pod's environment, volumes and the annotations of others may hold secrets and have no place in a file of ours; and
300 whole pods are megabytes. Parsing the result gives the same record, but for these annotations.

An object may have 1.5 MB, and its owner chooses of what. So nothing is kept whole that can be long: of a pod that has
much more than any honest one, only those parts are kept that can change a priority.
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
from oompolicy_agent.plumbing.text import clip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from oompolicy.labels import Labels

_METADATA: Final = ("name", "namespace", "uid", "generation")
_ORIGIN: Final = ("creationTimestamp", "ownerReferences")
"""Where a mirror pod came from."""
_POD_SPEC: Final = ("nodeName", "priorityClassName")
_CONTAINERS: Final = ("initContainers", "containers", "ephemeralContainers")
_IDS: Final = frozenset({"containerID", "lastState"})
_STATUSES: Final = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")

MANY_CONTAINERS: Final = 100
"""Containers of a kind that are kept of a pod, whatever they are; of further ones those that ever ran, and as
many that have an annotation."""
_VALUE: Final = 128
"""Characters of an annotation that are kept. Each value that is obeyed is far shorter."""
_HUGE_PAGES: Final = 8
"""Sizes of huge pages that are kept of one container: no architecture has more."""

_Object = Mapping[str, Any]


def _all(labels: Labels) -> Labels:
    return labels


def trim(raw: _Object, kept_labels: Callable[[Labels], Labels] = _all) -> dict[str, Any]:
    """What is needed of one OOMPolicy, Namespace or Pod; `kept_labels` says which labels of a pod.

    A value of the wrong type is left out, or kept so that parsing reports it.
    """
    short = _only(raw, ("apiVersion", "kind"))
    if raw["kind"] == "Pod":
        return short | _pod(raw, kept_labels)
    short["metadata"] = _only(raw["metadata"], (*_METADATA, "labels"))
    if "spec" in raw and raw["kind"] == "OOMPolicy":
        short["spec"] = raw["spec"]
    return short


def _pod(raw: _Object, kept_labels: Callable[[Labels], Labels]) -> dict[str, Any]:
    spec, status = _object(raw.get("spec")), _pod_status(_object(raw.get("status")))
    every = _object(raw["metadata"].get("annotations"))
    containers = [_name(container) for key in _CONTAINERS for container in _objects(spec.get(key))]
    asked = islice((name for name in containers if f"{CONTAINER_ANNOTATION}{name}" in every), MANY_CONTAINERS)
    # Without a class in the status, it follows from what all containers ask for.
    needed = {*_that_ran(status), *asked} if status.get("qosClass") else {*containers}
    short_spec = _pod_spec(spec, needed)
    kept = [_name(container) for key in _CONTAINERS for container in short_spec.get(key, ())]
    origin = _only(raw["metadata"], _ORIGIN) if MIRROR in every else {}
    metadata = _only(raw["metadata"], _METADATA) | origin | _annotations(every, kept, containers)
    if labels := raw["metadata"].get("labels"):
        metadata["labels"] = kept_labels(labels)
    return {"metadata": metadata, "spec": short_spec, "status": status}


def _annotations(every: _Object, kept: Iterable[str], containers: Iterable[str]) -> dict[str, Any]:
    """Of ours those that may be obeyed, the most important others, and the number of all further ones."""
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
    """Those that matter: one that never ran has no process and no cgroup."""
    kept = [each for number, each in enumerate(raw) if number < MANY_CONTAINERS or _name(each) in needed]
    return [_only(each, ("name", "restartPolicy")) | _resources(each) for each in kept]


def _resources(raw: _Object) -> dict[str, Any]:
    every = raw.get("resources")
    if not isinstance(every, Mapping):
        return _only(raw, ("resources",))
    return {"resources": {key: _amounts(every[key]) for key in ("requests", "limits") if every.get(key)}}


def _amounts(raw: object) -> object:
    """CPU, memory and huge pages. Of extended resources anyone may make up thousands."""
    if not isinstance(raw, Mapping):
        return raw
    huge = sorted(name for name in raw if name.startswith("hugepages-"))[:_HUGE_PAGES]
    return _only(raw, ("cpu", "memory", *huge))


def _pod_status(raw: _Object) -> dict[str, Any]:
    """Of container statuses those with an id. A container that never ran has none."""
    statuses = {key: [_container_status(each) for each in _objects(raw.get(key))] for key in _STATUSES}
    ran = {key: [each for each in found if _IDS & set(each)] for key, found in statuses.items()}
    return _only(raw, ("phase", "qosClass")) | {key: found for key, found in ran.items() if found}


def _that_ran(short: _Object) -> set[str]:
    return {_name(each) for key in _STATUSES for each in short.get(key, ())}


def _container_status(raw: _Object) -> dict[str, Any]:
    last = _object(_object(raw.get("lastState")).get("terminated")).get("containerID")
    state = raw.get("state")
    running = isinstance(state, Mapping) and state.get("running") is not None
    return (
        _only(raw, ("name", "containerID"))
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

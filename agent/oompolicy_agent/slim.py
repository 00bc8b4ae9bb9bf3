# SPDX-License-Identifier: Apache-2.0
"""Cuts raw manifests down to what resolution and mapping need, for the agent's memory and the checkpoint.

A pod's environment, volumes and the annotations of others may hold secrets and have no place in a file of ours; and
300 whole pods are megabytes. Parsing the result gives the same record, but for these annotations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from oompolicy.annotations import PREFIX
from oompolicy.mirror import MIRROR

_METADATA: Final = ("name", "namespace", "uid", "generation", "labels")
_ORIGIN: Final = ("creationTimestamp", "ownerReferences")
"""Where a mirror pod came from."""
_POD_SPEC: Final = ("nodeName", "priorityClassName", "resources", "overhead")
_CONTAINERS: Final = ("initContainers", "containers", "ephemeralContainers")
_STATUSES: Final = ("initContainerStatuses", "containerStatuses", "ephemeralContainerStatuses")

_Object = Mapping[str, Any]


def slim(raw: _Object) -> dict[str, Any]:
    """What is needed of one OOMPolicy, Namespace or Pod. What is not of its type is kept, for parsing to tell of."""
    short = _only(raw, ("apiVersion", "kind")) | {"metadata": _of(raw.get("metadata"), _metadata)}
    if raw["kind"] == "Pod":
        short |= {"spec": _of(raw.get("spec") or {}, _pod_spec), "status": _of(raw.get("status") or {}, _pod_status)}
    elif "spec" in raw and raw["kind"] == "OOMPolicy":
        short["spec"] = raw["spec"]
    return short


def _metadata(raw: _Object) -> dict[str, Any]:
    annotations = _of(raw.get("annotations"), _ours)
    origin = _only(raw, _ORIGIN) if isinstance(annotations, Mapping) and MIRROR in annotations else {}
    return _only(raw, _METADATA) | origin | _filled({"annotations": annotations})


def _ours(annotations: _Object) -> dict[str, Any]:
    return {key: text for key, text in annotations.items() if key == MIRROR or key.startswith(PREFIX)}


def _pod_spec(raw: _Object) -> dict[str, Any]:
    return _only(raw, _POD_SPEC) | _lists(raw, _CONTAINERS, lambda c: _only(c, ("name", "resources", "restartPolicy")))


def _pod_status(raw: _Object) -> dict[str, Any]:
    return _only(raw, ("phase", "qosClass")) | _lists(raw, _STATUSES, _container_status)


def _container_status(raw: _Object) -> dict[str, Any]:
    last: Any = raw
    for key in ("lastState", "terminated", "containerID"):
        last = last.get(key) if isinstance(last, Mapping) else None
    state = raw.get("state")
    running = isinstance(state, Mapping) and state.get("running") is not None
    return (
        _only(raw, ("name", "containerID"))
        | ({"state": {"running": {}}} if running else {})
        | ({"lastState": {"terminated": {"containerID": last}}} if last else {})
    )


def _lists(raw: _Object, keys: tuple[str, ...], each: Callable[[_Object], dict[str, Any]]) -> dict[str, Any]:
    return _filled({key: _list(raw.get(key), each) for key in keys})


def _list(value: object, each: Callable[[_Object], dict[str, Any] | None]) -> object:
    """The items cut down, without those of which nothing is needed."""
    if not isinstance(value, list):
        return value
    return [short for item in value if (short := _of(item, each)) is not None]


def _of(value: object, each: Callable[[_Object], dict[str, Any] | None]) -> object:
    return each(value) if isinstance(value, Mapping) else value


def _filled(values: _Object) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value}


def _only(raw: _Object, keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: raw[key] for key in keys if raw.get(key) is not None}

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
    """What is needed of one valid OOMPolicy, Namespace or Pod."""
    short = _only(raw, ("apiVersion", "kind")) | {"metadata": _metadata(raw["metadata"])}
    if raw["kind"] == "Pod":
        short |= {"spec": _pod_spec(raw.get("spec") or {}), "status": _pod_status(raw.get("status") or {})}
    elif "spec" in raw and raw["kind"] == "OOMPolicy":
        short["spec"] = raw["spec"]
    return short


def _metadata(raw: _Object) -> dict[str, Any]:
    every = raw.get("annotations") or {}
    annotations = {key: text for key, text in every.items() if key == MIRROR or key.startswith(PREFIX)}
    origin = _only(raw, _ORIGIN) if MIRROR in annotations else {}
    return _only(raw, _METADATA) | origin | ({"annotations": annotations} if annotations else {})


def _pod_spec(raw: _Object) -> dict[str, Any]:
    return _only(raw, _POD_SPEC) | _lists(raw, _CONTAINERS, lambda c: _only(c, ("name", "resources", "restartPolicy")))


def _pod_status(raw: _Object) -> dict[str, Any]:
    return _only(raw, ("phase", "qosClass")) | _lists(raw, _STATUSES, _container_status)


def _container_status(raw: _Object) -> dict[str, Any]:
    last = ((raw.get("lastState") or {}).get("terminated") or {}).get("containerID")
    state = raw.get("state")
    running = isinstance(state, Mapping) and state.get("running") is not None
    return (
        _only(raw, ("name", "containerID"))
        | ({"state": {"running": {}}} if running else {})
        | ({"lastState": {"terminated": {"containerID": last}}} if last else {})
    )


def _lists(raw: _Object, keys: tuple[str, ...], each: Callable[[_Object], dict[str, Any]]) -> dict[str, Any]:
    return {key: [each(item) for item in raw[key]] for key in keys if raw.get(key)}


def _only(raw: _Object, keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: raw[key] for key in keys if raw.get(key) is not None}

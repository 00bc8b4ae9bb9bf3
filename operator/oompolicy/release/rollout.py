# SPDX-License-Identifier: Apache-2.0
"""The progress of a DaemonSet, and why some of its pods are not ready. Pure, on the API's own JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping


def progress(daemonset: Mapping[str, Any]) -> str | None:
    """Return one sentence if not every node has a ready pod of the present generation, else None."""
    name, status = daemonset["metadata"]["name"], daemonset.get("status") or {}
    # The rule of `kubectl rollout status`: until the controller has seen this generation, the numbers are older.
    if status.get("observedGeneration", 0) < daemonset["metadata"]["generation"]:
        return f"no controller has processed DaemonSet {name} yet"
    wanted = status.get("desiredNumberScheduled", 0)
    ready = min(status.get("numberReady", 0), status.get("updatedNumberScheduled", 0))
    return None if ready >= wanted else f"DaemonSet {name} is ready on {ready} of {wanted} nodes"


def pods_of(names: Collection[str], pods: Iterable[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    """Return the pods that the DaemonSets with these names own."""
    return tuple(
        pod
        for pod in pods
        if any(
            owner["kind"] == "DaemonSet" and owner["name"] in names
            for owner in pod["metadata"].get("ownerReferences") or ()
        )
    )


def node_of(pod: Mapping[str, Any]) -> str:
    """Return the name of the pod's node, or of the pod itself if it has no node yet."""
    return pod["spec"].get("nodeName") or f"pod {pod['metadata']['name']}"


def unready(pods: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Yield a sentence for each pod that is not ready, sorted by node."""
    for pod in sorted(pods, key=node_of):
        status = pod.get("status") or {}
        conditions = {each["type"]: each for each in status.get("conditions") or ()}
        if conditions.get("Ready", {}).get("status") != "True":
            yield f"{node_of(pod)}: {_reason(status, conditions)}"


def _reason(status: Mapping[str, Any], conditions: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the best known reason.

    The last message of a container that failed comes first, then the reason why a container does not start, then the
    reason why the pod has no node.
    """
    containers = (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ()))
    for each in containers:
        for state in (each.get("state") or {}, each.get("lastState") or {}):
            if (ended := state.get("terminated") or {}).get("exitCode"):
                message = (ended.get("message") or "").strip() or ended.get("reason", "no reason given")
                return f"container {each['name']} ended with status {ended['exitCode']}: {message}"
    for each in containers:
        waiting = (each.get("state") or {}).get("waiting") or {}
        if waiting.get("message"):
            return f"container {each['name']}: {waiting['message']}"
    scheduled = conditions.get("PodScheduled", {})
    return scheduled.get("message") or f"the pod is {status.get('phase') or 'Pending'}"

# SPDX-License-Identifier: Apache-2.0
"""How far a DaemonSet is, and what holds up those of its pods that are not ready. Pure, on the API's own JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


def progress(daemonset: Mapping[str, Any]) -> str:
    """What is missing until a pod of the present generation is ready on each node; empty: nothing is."""
    name, status = daemonset["metadata"]["name"], daemonset.get("status") or {}
    # The rule of `kubectl rollout status`: until the controller has seen it, the numbers are of something else.
    if status.get("observedGeneration", 0) < daemonset["metadata"]["generation"]:
        return f"no controller has seen DaemonSet {name} yet"
    wanted = status.get("desiredNumberScheduled", 0)
    ready = min(status.get("numberReady", 0), status.get("updatedNumberScheduled", 0))
    return "" if ready >= wanted else f"DaemonSet {name} is ready on {ready} of {wanted} nodes"


def pods_of(name: str, pods: Iterable[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    """Those that DaemonSet `name` owns."""
    return tuple(
        pod
        for pod in pods
        if any(
            (owner["kind"], owner["name"]) == ("DaemonSet", name)
            for owner in pod["metadata"].get("ownerReferences") or ()
        )
    )


def node_of(pod: Mapping[str, Any]) -> str:
    """The node that it is on; before it is on one, the pod's own name."""
    return pod["spec"].get("nodeName") or f"pod {pod['metadata']['name']}"


def unready(pods: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """A sentence for each that is not ready, by node."""
    for pod in sorted(pods, key=node_of):
        status = pod.get("status") or {}
        conditions = {each["type"]: each for each in status.get("conditions") or ()}
        if conditions.get("Ready", {}).get("status") != "True":
            yield f"{node_of(pod)}: {_reason(status, conditions)}"


def _reason(status: Mapping[str, Any], conditions: Mapping[str, Mapping[str, Any]]) -> str:
    """The last words of a container that ended badly tell most, then why one does not start, then why no node."""
    containers = (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ()))
    for each in containers:
        for state in (each.get("state") or {}, each.get("lastState") or {}):
            if (ended := state.get("terminated") or {}).get("exitCode"):
                said = (ended.get("message") or "").strip() or ended.get("reason", "no reason given")
                return f"container {each['name']} ended with status {ended['exitCode']}: {said}"
    for each in containers:
        waiting = (each.get("state") or {}).get("waiting") or {}
        if waiting.get("message"):
            return f"container {each['name']}: {waiting['message']}"
    scheduled = conditions.get("PodScheduled", {})
    return scheduled.get("message") or f"its pod is {status.get('phase') or 'Pending'}"

# SPDX-License-Identifier: Apache-2.0
"""Make the objects that the command line explains, as the operator, agents and users would have made them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from oompolicy.order.facts import NodeFacts, Running
from oompolicy.timestamps import api_micro_time, api_time
from tests.cluster.objects import node, pod

if TYPE_CHECKING:
    from tests.cluster.api import Api

NO_HOOK = "this kernel has no hook, neither built in nor in a module"
HOOK = "the hook's module is loaded"
NOTE = (
    "Kernel OOM killer killed node (pid 4711, anon-rss 98 MiB) in container app of pod shop/web-0: "
    "scope Kubepods: the pods together reached the limit of /kubepods.slice; priority 300 from OOMPolicy web "
    "(precedence 10): value 300; trigger: its own allocation"
)
MESSAGES = {
    "Ready": "all objects are received, the map is written and the program is attached",
    "Enforcing": "backend EvaluateTask, hook Module",
    "Synced": "the map in the kernel matches policies and pods",
}
REASONS = {"Ready": "Ready", "Enforcing": "Attached", "Synced": "Synced"}


def build(api: Api) -> None:
    """Make three nodes, of which one enforces, four policies, and a pod with an annotation that is refused."""
    for name in ("node-a", "node-b", "node-c"):
        api.create(node(name))
    report(api, "node-a")
    report(api, "node-b", enforces=False)
    api.namespace("shop", {"tier": "prod"})
    labels = {"app": "web", "env": "prod"}
    api.create(pod("shop", "web-0", node="node-a", labels=labels, annotations={"oompolicy.dev/priority": "900"}))
    api.create(policy("web", 300, 10, podSelector={"matchLabels": {"app": "web"}}))
    api.create(policy("shop", 500, 5, namespaceSelector={"matchLabels": {"tier": "prod"}}))
    api.create(policy("web-prod", 700, 90, podSelector={"matchLabels": {"app": "wbe", "env": "prod"}}))
    api.create(policy("test", 50, 90, podSelector={"matchLabels": {"app": "db", "env": "test"}}))


def facts(held: int = 300) -> NodeFacts:
    """Return the answer of the agent of node-a, whose node holds a priority for the only container of the pod."""
    container = Running(
        namespace="shop",
        pod="web-0",
        container="app",
        priority=held,
        source="policy",
        policy="web",
        reason="OOMPolicy web (precedence 10): value 300",
        memory_request=0,
        held=held,
    )
    return NodeFacts("node-a", "Enforce", "EvaluateTask", enforcing=True, containers=(container,), holding="Entries")


def policy(name: str, value: int, precedence: int, **match: object) -> dict[str, Any]:
    spec = {"precedence": precedence, "match": match, "priority": {"value": value}}
    return {"apiVersion": "oompolicy.dev/v1alpha1", "kind": "OOMPolicy", "metadata": {"name": name}, "spec": spec}


def settings(api: Api, mode: str) -> None:
    """Create OOMSettings, as the chart does."""
    metadata = {"name": "cluster"}
    api.create(
        {"apiVersion": "oompolicy.dev/v1alpha1", "kind": "OOMSettings", "metadata": metadata, "spec": {"mode": mode}}
    )


def report(api: Api, name: str, *, enforces: bool = True) -> None:
    """Create an OOMNode, and write its status as an agent does. Its only victim died 30 hours ago."""
    now = datetime.now(UTC)
    api.create({"apiVersion": "oompolicy.dev/v1alpha1", "kind": "OOMNode", "metadata": {"name": name}})
    conditions = [
        {"type": kind, "status": "True", "reason": REASONS[kind], "message": text, "lastTransitionTime": api_time(now)}
        for kind, text in MESSAGES.items()
    ]
    if not enforces:
        conditions[1] |= {"status": "False", "reason": "ObserveOnly", "message": NO_HOOK}
    old = api_micro_time(now - timedelta(hours=30))
    status = {
        "mode": "Enforce",
        "backend": "EvaluateTask" if enforces else "ObserveOnly",
        "backendReason": HOOK if enforces else NO_HOOK,
        "hook": "Module" if enforces else "None",
        "kernelVersion": "6.12.57+deb13-amd64",
        "conditions": conditions,
        "lastHeartbeatTime": api_time(now - timedelta(seconds=20)),
        "lastVictims": [{"time": old, "process": "old", "pid": 1, "priority": 1, "scope": "Node"}],
        "counts": {"pods": 3, "victims": 1},
    }
    api.patch("OOMNode", name, {"status": status}, subresource="/status")


def kill(api: Api, minutes: int) -> None:
    """Create the Event of a victim, as the agent does. The victim died so many minutes ago."""
    regarding = {"apiVersion": "v1", "kind": "Pod", "namespace": "shop", "name": "web-0", "uid": "u"}
    api.create(
        {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": f"web-0.{minutes}", "namespace": "shop"},
            "eventTime": api_micro_time(datetime.now(UTC) - timedelta(minutes=minutes)),
            "type": "Warning",
            "reason": "OOMVictimKilled",
            "action": "Kill",
            "reportingController": "oompolicy.dev/agent",
            "reportingInstance": "node-a",
            "regarding": {**regarding, "fieldPath": "spec.containers{app}"},
            "related": {"apiVersion": "oompolicy.dev/v1alpha1", "kind": "OOMPolicy", "name": "web"},
            "note": NOTE,
        }
    )

# SPDX-License-Identifier: Apache-2.0
"""Raw objects and records for the tests, in which a test sets only the fields that it needs."""

from collections.abc import Mapping, Sequence
from typing import Any

from oompolicy.api import API_VERSION
from oompolicy.model import (
    Container,
    ContainerOffset,
    FixedPriority,
    KillScope,
    Match,
    OOMPolicy,
    Override,
    Pod,
    Priority,
    QOSClass,
)

UID = "0cf04643-bc8f-41cc-8570-f0ae38ab242e"


def raw_policy(spec: Mapping[str, Any], name: str = "databases") -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": "OOMPolicy", "metadata": {"name": name}, "spec": dict(spec)}


def raw_settings(spec: Mapping[str, Any], name: str = "cluster") -> dict[str, Any]:
    return {"apiVersion": API_VERSION, "kind": "OOMSettings", "metadata": {"name": name}, "spec": dict(spec)}


def raw_pod(
    *, metadata: Mapping[str, Any] | None = None, status: Mapping[str, Any] | None = None, **spec: object
) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "postgres-0", "namespace": "shop", "uid": UID, **(metadata or {})},
        "spec": {"containers": [{"name": "postgres"}], **spec},
        "status": dict(status or {}),
    }


def raw_container(
    name: str, requests: Mapping[str, Any] | None = None, limits: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    return {"name": name, "resources": {"requests": requests, "limits": limits}}


def pod(
    *,
    namespace: str = "shop",
    name: str = "postgres-0",
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
    qos_class: QOSClass = QOSClass.BURSTABLE,
    priority_class_name: str | None = None,
    containers: Sequence[str] = ("postgres",),
) -> Pod:
    return Pod(
        uid=f"uid-of-{namespace}-{name}",
        namespace=namespace,
        name=name,
        node_name="demo-node",
        labels=labels or {},
        annotations=annotations or {},
        qos_class=qos_class,
        priority_class_name=priority_class_name,
        containers=tuple(Container(each, "container") for each in containers),
        cgroup_uid=f"uid-of-{namespace}-{name}",
        phase="Running",
        memory_request=0,
    )


def policy(
    name: str = "databases",
    *,
    precedence: int = 100,
    match: Match | None = None,
    priority: Priority | None = None,
    containers: Mapping[str, int] | None = None,
    override: tuple[int, int] | None = None,
    kill_scope: KillScope | None = None,
) -> OOMPolicy:
    return OOMPolicy(
        name=name,
        generation=1,
        uid=f"uid-of-{name}",
        precedence=precedence,
        match=match or Match(),
        priority=priority or FixedPriority(900),
        containers=tuple(ContainerOffset(each, offset) for each, offset in (containers or {}).items()),
        override=Override(*override) if override else None,
        kill_scope=kill_scope,
    )

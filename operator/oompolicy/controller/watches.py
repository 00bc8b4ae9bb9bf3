# SPDX-License-Identifier: Apache-2.0
"""Creates the informers of all collections but policies, and reduces each object to its relevant part."""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar
from weakref import WeakKeyDictionary, ref

from oompolicy.api import NAMESPACES, NODES, OOMNODES, PODS
from oompolicy.controller.actions import MANAGER
from oompolicy.controller.heartbeats import Heartbeat
from oompolicy.controller.matcher import Shape
from oompolicy.controller.nodetable import Node, NodeCondition, NodeReport, NodeSpec
from oompolicy.kube.informer import Informer
from oompolicy.mirror import read_mirror
from oompolicy.model import FINISHED_PHASES, QOSClass
from oompolicy.parse import read_pod

if TYPE_CHECKING:
    from collections.abc import Callable

    from oompolicy.controller.state import State
    from oompolicy.kube.connection import Connection
    from oompolicy.labels import Labels

    Post = Callable[[Callable[[], None]], None]

T = TypeVar("T")

_shared: WeakKeyDictionary[Shape, ref[Shape]] = WeakKeyDictionary()
"""The shapes in use. A shape leaves when its last pod does."""


class _Feed(Generic[T]):
    """A handler that posts each call of an informer to the loop, which makes the call in its own thread."""

    def __init__(
        self,
        post: Post,
        replaced: Callable[[dict[str, T]], None],
        changed: Callable[[str, T], None],
        deleted: Callable[[str], None],
    ) -> None:
        self._post, self._replaced, self._changed, self._deleted = post, replaced, changed, deleted

    def replaced(self, objects: dict[str, T]) -> None:
        self._post(partial(self._replaced, objects))

    def changed(self, uid: str, obj: T) -> None:
        self._post(partial(self._changed, uid, obj))

    def deleted(self, uid: str) -> None:
        self._post(partial(self._deleted, uid))


def informers(connection: Connection, state: State, post: Post) -> dict[str, Informer[Any]]:
    """Return the informers by collection, not started. They call `post` from their threads."""
    pods = _Feed(post, state.pods_listed, state.census.put_pod, state.census.drop_pod)
    spaces = _Feed(post, state.namespaces_listed, state.namespace, state.namespace_deleted)
    nodes = _Feed(post, state.nodes_listed, state.node, state.node_deleted)
    reports = _Feed(post, state.oomnodes_listed, state.oomnode, state.oomnode_deleted)
    core = partial(Informer, connection)
    shape = partial(shape_of, kept=lambda labels: state.label_filter.kept(labels).labels)
    found: dict[str, Informer[Any]] = {
        "pods": core(PODS, keep=shape, handler=pods),
        "namespaces": core(NAMESPACES, keep=labels_of, handler=spaces, metadata_only=True),
        "nodes": core(NODES, keep=node_of, handler=nodes),
        "oomnodes": core(OOMNODES, keep=node_report, handler=reports),
    }
    state.label_filter.read_again = found["pods"].relist
    return found


def _all(labels: Labels) -> Labels:
    return labels


def shape_of(raw: dict[str, Any], kept: Callable[[Labels], Labels] = _all) -> Shape | None:
    """Return the shape of a pod, or `None` if the pod has finished. `kept` selects the relevant labels."""
    status = raw.get("status") or {}
    if status.get("phase") in FINISHED_PHASES:
        return None
    metadata = raw["metadata"]
    labels = kept(metadata.get("labels") or {})
    # The API server sets the class of each pod. A pod without a class did not pass through it.
    qos_class = QOSClass(status["qosClass"]) if "qosClass" in status else read_pod(raw).qos_class
    mirror = read_mirror(raw)
    shape = Shape(
        sys.intern(metadata["namespace"]),
        tuple(sorted((sys.intern(key), sys.intern(value)) for key, value in labels.items())),
        qos_class,
        raw["spec"].get("priorityClassName"),
        mirror is not None and mirror.static,
    )
    return _shared_shape(shape)


def labels_of(raw: dict[str, Any]) -> tuple[str, dict[str, str]]:
    """Return the name and labels of a namespace."""
    metadata = raw["metadata"]
    return metadata["name"], metadata.get("labels") or {}


def node_of(raw: dict[str, Any]) -> Node:
    """Return the name, boot id and labels of a Node.

    Unlike those of a pod, all labels are kept. Few users may set them, and without a label that settings select by, the
    node would be in a wrong mode until all Nodes are read again.
    """
    metadata, info = raw["metadata"], (raw.get("status") or {}).get("nodeInfo") or {}
    labels = {sys.intern(key): sys.intern(value) for key, value in (metadata.get("labels") or {}).items()}
    return Node(str(metadata["name"]), str(info.get("bootID") or ""), labels)


def node_report(raw: dict[str, Any]) -> NodeReport:
    """Return the report in an OOMNode. Its fields are empty until the agent has written the status."""
    metadata, status = raw["metadata"], raw.get("status") or {}
    return NodeReport(
        metadata["name"],
        status.get("backend") or "",
        status.get("policyHash") or "",
        tuple(map(_condition, status.get("conditions") or ())),
        Heartbeat(status.get("lastHeartbeatTime") or "", status.get("bootID") or ""),
        metadata.get("resourceVersion") or "",
        status.get("mode") or "",
        _spec(raw),
    )


def _spec(raw: dict[str, Any]) -> NodeSpec:
    mode = (raw.get("spec") or {}).get("mode") or ""
    if not mode:
        return NodeSpec()
    managers = {
        each["manager"]
        for each in raw["metadata"].get("managedFields") or ()
        if "f:mode" in ((each.get("fieldsV1") or {}).get("f:spec") or {})
    }
    return NodeSpec(mode, MANAGER in managers, tuple(sorted(managers - {MANAGER})))


def _condition(raw: dict[str, Any]) -> NodeCondition:
    return NodeCondition(raw["type"], raw["status"], raw["reason"], raw["lastTransitionTime"])


def _shared_shape(shape: Shape) -> Shape:
    """Return one object for all pods of a shape, because a list of 150,000 pods is in memory at once.

    The object lives as long as such a pod. A cache of the last shapes would keep all shapes of a pod that changes its
    labels again and again.
    """
    known = _shared.get(shape)
    found = known() if known else None
    if found is None:
        _shared[shape] = ref(shape)
    return found or shape

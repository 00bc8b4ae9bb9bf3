# SPDX-License-Identifier: Apache-2.0
"""Keeps the objects of one collection for the loop, trimmed to the parts that the agent needs."""

from __future__ import annotations

import json
import time
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from oompolicy.model import FINISHED_PHASES
from oompolicy_agent.objects.source import MAX_DELETED
from oompolicy_agent.objects.trim import trim

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from oompolicy.labels import Keys, LabelFilter
    from oompolicy_agent.api.wake import Wake


class TrimmedObject(NamedTuple):
    """The name of an object, and the parts that the agent needs as JSON text, as they go into the checkpoint.

    Text takes a fifth of a dict's memory. `finished` is true for a pod in one of the phases `FINISHED_PHASES`.
    `label_keys` are the keys of the only labels that were kept of a pod with many, or None. They are part of the
    comparison, so that a pod that has none of these labels counts as changed after it was read again.
    """

    name: str
    text: str
    finished: bool = False
    label_keys: Keys | None = None

    def has_labels(self, keys: Keys) -> bool:
        """Return True if no label with one of these keys was left out."""
        return self.label_keys is None or keys <= self.label_keys


def keep_as(api_version: str, kind: str, label_filter: LabelFilter) -> Callable[[dict[str, Any]], TrimmedObject]:
    """Return the function that trims the objects of a collection. `label_filter` selects the labels of a pod to keep.

    The function adds `apiVersion` and `kind`, which the items of a list and PartialObjectMetadata lack.
    """

    def keep(raw: dict[str, Any]) -> TrimmedObject:
        short = trim({**raw, "apiVersion": api_version, "kind": kind})
        finished = kind == "Pod" and str(short["status"].get("phase")) in FINISHED_PHASES
        keys = None
        if kind == "Pod" and (labels := short["metadata"].get("labels")):
            short["metadata"]["labels"], keys = label_filter.kept(labels)
        text = json.dumps(short, ensure_ascii=False, separators=(",", ":"))
        return TrimmedObject(short["metadata"]["name"], text, finished, keys)

    return keep


class WatchedObjects:
    """The handler of an informer.

    It wakes the loop only if a kept part changes, because a pod's status changes all the time. A finished pod has no
    process left, but its object can exist for weeks, and a node can have thousands of them. So it is removed.
    """

    def __init__(self, wake: Wake) -> None:
        """Begin without objects. Each change sets `wake`."""
        self._wake = wake
        self._lock = Lock()
        self._objects: dict[str, TrimmedObject] = {}
        self._finished: dict[str, TrimmedObject] = {}
        self._since: float | None = None
        self._synced = False

    @property
    def synced(self) -> bool:
        """True once a complete list was received."""
        return self._synced

    @property
    def since(self) -> float | None:
        """The time of the oldest change since the last `take`, on time.monotonic."""
        return self._since

    def take(self) -> Mapping[str, TrimmedObject]:
        """Return all objects by uid, without finished pods."""
        with self._lock:
            self._since = None
            return dict(self._objects)

    def take_finished(self) -> tuple[TrimmedObject, ...]:
        """Return the pods that finished since the last call, in their last state. At most `MAX_DELETED` are kept."""
        with self._lock:
            finished, self._finished = self._finished, {}
            return tuple(finished.values())

    def replaced(self, objects: dict[str, TrimmedObject]) -> None:
        """Take a complete list."""
        objects = {uid: obj for uid, obj in objects.items() if not obj.finished}
        with self._lock:
            if self._synced and objects == self._objects:
                return
            self._objects, self._synced = objects, True
            self._changed()

    def changed(self, uid: str, obj: TrimmedObject) -> None:
        """Take an object that was added or modified."""
        with self._lock:
            if obj.finished:
                self._finish(uid, obj)
            elif self._objects.get(uid) != obj:
                self._objects[uid] = obj
                self._changed()

    def deleted(self, uid: str) -> None:
        """Remove an object."""
        with self._lock:
            if self._objects.pop(uid, None) is not None:
                self._changed()

    def _finish(self, uid: str, obj: TrimmedObject) -> None:
        self._objects.pop(uid, None)
        self._finished[uid] = obj
        if len(self._finished) > MAX_DELETED:
            del self._finished[next(iter(self._finished))]
        self._changed()

    def _changed(self) -> None:
        if self._since is None:
            self._since = time.monotonic()
        self._wake.set()

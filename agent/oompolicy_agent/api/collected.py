# SPDX-License-Identifier: Apache-2.0
"""Keeps what an informer tells of one collection, cut down, for the loop to look at."""

from __future__ import annotations

import json
import time
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

from oompolicy.model import FINISHED_PHASES
from oompolicy_agent.objects.source import FORMER
from oompolicy_agent.objects.trim import trim

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from oompolicy.labels import AskedLabels
    from oompolicy_agent.api.wake import Wake


class Slim(NamedTuple):
    """An object's name, and all that we need of it as JSON: what a checkpoint holds, and a fifth of a dict's memory.

    `finished` is true for a pod in one of the phases `FINISHED_PHASES`.
    """

    name: str
    text: str
    finished: bool = False


def keep_as(api_version: str, kind: str, asked: AskedLabels) -> Callable[[dict[str, Any]], Slim]:
    """What an informer keeps of an object; in a list, and with metadata only, the object does not say what it is.

    `asked` says which labels of a pod are kept.
    """

    def keep(raw: dict[str, Any]) -> Slim:
        short = trim({**raw, "apiVersion": api_version, "kind": kind}, asked.kept)
        finished = kind == "Pod" and str(short["status"].get("phase")) in FINISHED_PHASES
        return Slim(short["metadata"]["name"], json.dumps(short, ensure_ascii=False, separators=(",", ":")), finished)

    return keep


class WatchedObjects:
    """An informer's handler. Wakes the loop only for changes of what is kept: a pod's status changes all the time.

    A finished pod has no process left. Until somebody deletes it, which may take weeks, it is no longer among the
    objects here: a node may have thousands of them.
    """

    def __init__(self, wake: Wake) -> None:
        """Nothing heard yet."""
        self._wake = wake
        self._lock = Lock()
        self._objects: dict[str, Slim] = {}
        self._finished: dict[str, Slim] = {}
        self._since: float | None = None
        self._synced = False

    @property
    def synced(self) -> bool:
        """Whether all there is was told once."""
        return self._synced

    @property
    def since(self) -> float | None:
        """When the oldest change came in that `take` has not seen, on time.monotonic."""
        return self._since

    def take(self) -> Mapping[str, Slim]:
        """By uid all there are, but for finished pods."""
        with self._lock:
            self._since = None
            return dict(self._objects)

    def take_finished(self) -> tuple[Slim, ...]:
        """The pods that finished since the last call, at most the last `FORMER`, as they were at their end."""
        with self._lock:
            finished, self._finished = self._finished, {}
            return tuple(finished.values())

    def replaced(self, objects: dict[str, Slim]) -> None:
        """All there are."""
        objects = {uid: obj for uid, obj in objects.items() if not obj.finished}
        with self._lock:
            if self._synced and objects == self._objects:
                return
            self._objects, self._synced = objects, True
            self._changed()

    def changed(self, uid: str, obj: Slim) -> None:
        """One was added or modified."""
        with self._lock:
            if obj.finished:
                self._finish(uid, obj)
            elif self._objects.get(uid) != obj:
                self._objects[uid] = obj
                self._changed()

    def deleted(self, uid: str) -> None:
        """One is gone."""
        with self._lock:
            if self._objects.pop(uid, None) is not None:
                self._changed()

    def _finish(self, uid: str, obj: Slim) -> None:
        self._objects.pop(uid, None)
        self._finished[uid] = obj
        if len(self._finished) > FORMER:
            del self._finished[next(iter(self._finished))]
        self._changed()

    def _changed(self) -> None:
        if self._since is None:
            self._since = time.monotonic()
        self._wake.set()

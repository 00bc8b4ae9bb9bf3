# SPDX-License-Identifier: Apache-2.0
"""A log of all Events of the cluster, with the time when each was first readable."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from oompolicy.kube.informer import Informer
from tests.cluster.objects import collection

if TYPE_CHECKING:
    from collections.abc import Callable

    from oompolicy.kube.connection import Connection


@dataclass(frozen=True)
class Seen:
    """The current state of an Event, and the `time.monotonic` at which it first existed."""

    event: dict[str, Any]
    at: float

    @property
    def reason(self) -> str:
        return str(self.event.get("reason", ""))

    @property
    def pod(self) -> str:
        """The uid of the pod that the Event is on. For some objects there is no uid."""
        return str(self.event["regarding"].get("uid", ""))

    @property
    def note(self) -> str:
        return str(self.event.get("note", ""))

    @property
    def pid(self) -> int:
        """The pid of the killed process in the text of the Event."""
        found = re.search(r"killed .*? \(pid (\d+)", self.note)
        if not found:
            raise ValueError(f"no pid in {self.note!r}")
        return int(found[1])

    @property
    def count(self) -> int:
        """The number of kills that the Event stands for."""
        return int((self.event.get("series") or {"count": 1})["count"])


class EventLog:
    """An informer's handler with methods that wait for an Event."""

    def __init__(self, connection: Connection) -> None:
        self._seen: dict[str, Seen] = {}
        self._changed = threading.Condition()
        self._informer: Informer[dict[str, Any]] = Informer(connection, collection("Event"), keep=dict, handler=self)

    def start(self) -> None:
        self._informer.start()

    def stop(self) -> None:
        self._informer.stop()

    def wait(self, awaited: str, wanted: Callable[[Seen], bool], *, seconds: float = 60.0) -> Seen:
        """Return the first matching Event as soon as there is one."""
        with self._changed:
            if self._changed.wait_for(lambda: any(map(wanted, self._seen.values())), seconds):
                return next(each for each in self._seen.values() if wanted(each))
            seen = [each.note for each in self._seen.values()]
        raise AssertionError(f"{awaited}: no such Event within {seconds:.0f} s, but {seen}")

    def wait_for_sum(self, wanted: Callable[[Seen], bool], total: int, *, seconds: float) -> list[Seen]:
        """Return the matching Events when they stand for `total` kills, or when the time is over."""
        with self._changed:
            self._changed.wait_for(lambda: sum(each.count for each in self._matching(wanted)) >= total, seconds)
            return self._matching(wanted)

    def _matching(self, wanted: Callable[[Seen], bool]) -> list[Seen]:
        return [each for each in self._seen.values() if wanted(each)]

    def replaced(self, objects: dict[str, dict[str, Any]]) -> None:
        now = time.monotonic()
        with self._changed:
            self._seen = {uid: Seen(event, self._first(uid, now)) for uid, event in objects.items()}
            self._changed.notify_all()

    def changed(self, uid: str, obj: dict[str, Any]) -> None:
        now = time.monotonic()
        with self._changed:
            self._seen[uid] = Seen(obj, self._first(uid, now))
            self._changed.notify_all()

    def deleted(self, uid: str) -> None:
        with self._changed:
            self._seen.pop(uid, None)

    def _first(self, uid: str, now: float) -> float:
        return self._seen[uid].at if uid in self._seen else now

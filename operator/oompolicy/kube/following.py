# SPDX-License-Identifier: Apache-2.0
"""Decides for one collection which request is next, and interprets lists, events and failures.

This module has no I/O and no clock, so that every case can be tested directly. `oompolicy.kube.informer` sends the
requests.

A collection begins with a complete list. The list comes by the events of WatchList (KEP-3157) up to the bookmark that
ends them, or in pages, or, if a field selector leaves few objects, in one answer. After the list the collection changes
event by event, and a new watch resumes at the resource version of the last event. If that version is too old (410), the
next complete list replaces all objects, so no deletion is ever missed.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final, Generic, Protocol, TypeVar

from oompolicy.kube.backoff import delay
from oompolicy.kube.errors import ApiError, from_status

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from oompolicy.kube.errors import UnreachableError

T = TypeVar("T")

LASTING: Final = 10.0
"""Seconds. After a shorter watch, the next one waits, and longer after several in a row."""
PAGE: Final = 500
"""Objects per page if the server has no WatchList. That is some megabytes of pods."""

_END_OF_LIST: Final = "k8s.io/initial-events-end"


class Handler(Protocol[T]):
    """The receiver of changes. All calls come from the informer's thread."""

    def replaced(self, objects: dict[str, T]) -> None:
        """Take all objects by uid after a complete list. A missing object is deleted. The handler owns `objects`."""

    def changed(self, uid: str, obj: T) -> None:
        """Take an object that was added or modified."""

    def deleted(self, uid: str) -> None:
        """Note that an object was deleted, or left the selection. The object may be unknown."""


class Following(Generic[T]):
    """The state of one collection."""

    def __init__(
        self,
        keep: Callable[[dict[str, Any]], T],
        handler: Handler[T],
        uniform: Callable[[float, float], float] = random.uniform,
        *,
        few: bool = False,
    ) -> None:
        """Begin without a list. `uniform` draws the part of a delay that is waited, so that clients retry at random.

        `few` means that a field selector leaves few objects. They are then listed without WatchList. For a list, the
        API server finds the pods of a node by an index. For a WatchList it scans all pods, and 50,000 pods take 131 ms
        of CPU instead of 7.
        """
        self._keep = keep
        self._handler = handler
        self._uniform = uniform
        self._list: dict[str, T] | None = None  # a list that is not complete yet
        self._resource_version = ""
        self._few = few
        self._watch_list = not few
        self._received = False  # the current watch delivered an event
        self._served = False  # a list came, or a watch was opened, since the last turn ended
        self._failures = 0
        self._brief = 0  # turns in a row with a watch that did not last, although the server answered
        self.synced = False
        self.failing: str | None = None

    @property
    def needs_pages(self) -> bool:
        """True if a complete list is needed that does not come by WatchList."""
        return not self._resource_version and not self._watch_list

    def page_query(self, token: str) -> dict[str, str]:
        """Return the query for the page of a token. The token of the first page is empty."""
        if self._few:
            # The list comes from the cache, which has the index. Before 1.34, a query with a limit is read from etcd,
            # which has no index.
            return {"resourceVersion": "0"}
        return {"limit": str(PAGE), "continue": token} if token else {"limit": str(PAGE)}

    def page(self, page: Mapping[str, Any]) -> str:
        """Take in a page of a list. Return the token of the next page, which is empty after the last page."""
        found = self._list = {} if self._list is None else self._list
        found.update((item["metadata"]["uid"], self._keep(item)) for item in page.get("items") or ())
        metadata = page["metadata"]
        if token := metadata.get("continue", ""):
            return str(token)
        self._whole(found, metadata["resourceVersion"])
        return ""

    def watch(self, timeout: int) -> dict[str, str]:
        """Begin a watch, and return its query. It asks the server to end the watch after `timeout` seconds."""
        self._received = False
        query = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(timeout)}
        if self._resource_version:
            return {**query, "resourceVersion": self._resource_version}
        self._list = {}
        return {**query, "sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}

    def opened(self) -> None:
        """Note that the server accepted the watch. If the watch resumes, nothing is failing any more."""
        if self._list is None:
            self.failing = None
            self._served = True

    def event(self, event: Mapping[str, Any]) -> None:
        """Take in an event of the watch. Raise ApiError if the event is an error."""
        kind, obj = event["type"], event["object"]
        if kind == "ERROR":
            raise from_status(obj)
        self._received = True
        if self._list is not None:
            self._gather(self._list, kind, obj)
            return
        self._resource_version = obj["metadata"]["resourceVersion"]
        self._failures = 0
        if kind == "DELETED":
            self._handler.deleted(obj["metadata"]["uid"])
        elif kind != "BOOKMARK":
            self._handler.changed(obj["metadata"]["uid"], self._keep(obj))

    def ended(self, lasted: float) -> float:
        """Note that the server ended the watch after `lasted` seconds. Return the seconds to wait.

        Servers end watches from time to time, so this is a failure only if the watch ended too early.
        """
        if self._list is not None:
            return self._fail("the watch ended before the list was complete", lasted)
        if not self._received:
            return self._fail("the watch ended before its first event", lasted)
        self._turned(lasted)
        return self._delay(self._brief) if self._brief else 0.0

    def silent(self, lasted: float) -> float:
        """Note that the watch delivered nothing for a while, not even a bookmark. Return the seconds to wait.

        This is not a failure. The API server sends no bookmarks of a collection that has had no event since its start
        (Cacher.dispatchEvents in apiserver/pkg/storage/cacher). If the server is gone, the next watch fails.
        """
        if self._list is not None:
            return self._fail("the list stopped before it was complete", lasted)
        self._turned(lasted)
        return self._delay(1)

    def failed(self, error: ApiError | UnreachableError, lasted: float = 0.0) -> float:
        """Note that a list or watch failed, or an event was an error. Return the seconds to wait.

        A watch had lasted for `lasted` seconds.
        """
        status = error.status if isinstance(error, ApiError) else None
        refused = status in (400, 422)
        if refused and not self._resource_version and self._watch_list:
            # A server without WatchList refuses the parameters of WatchList in this way.
            self._watch_list, self._list = False, None
            return 0.0
        if refused or status == 410:
            self._resource_version = ""
        if status == 410:
            # The server is healthy. The failures before may have been its restart.
            self._failures = 0
        return self._fail(str(error), lasted) + ((error.retry_after or 0.0) if isinstance(error, ApiError) else 0.0)

    def forget(self) -> None:
        """Request a complete list next, without a failure."""
        self._resource_version = ""
        self._list = None

    def restart(self, reason: str, lasted: float = 0.0) -> float:
        """Request a complete list next, because an object may be wrong. Return the seconds to wait."""
        self._resource_version = ""
        return self._fail(reason, lasted)

    def _fail(self, reason: str, lasted: float) -> float:
        self._list = None
        self.failing = reason
        self._failures += 1
        self._turned(lasted)
        return self._delay(max(self._failures, self._brief))

    def _turned(self, lasted: float) -> None:
        if lasted >= LASTING:
            self._brief = 0
        elif self._served:
            self._brief += 1
        self._served = False

    def _delay(self, failures: int) -> float:
        return delay(failures, self._uniform)

    def _gather(self, found: dict[str, T], kind: str, obj: dict[str, Any]) -> None:
        metadata = obj["metadata"]
        if kind == "DELETED":
            found.pop(metadata["uid"], None)
        elif kind != "BOOKMARK":
            found[metadata["uid"]] = self._keep(obj)
        elif (metadata.get("annotations") or {}).get(_END_OF_LIST) == "true":
            self._whole(found, metadata["resourceVersion"])

    def _whole(self, objects: dict[str, T], resource_version: str) -> None:
        self._list = None
        self._handler.replaced(objects)
        self._resource_version = resource_version
        self._failures = 0
        self._served = True
        self.failing = None
        self.synced = True

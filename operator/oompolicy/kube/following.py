# SPDX-License-Identifier: Apache-2.0
"""Follows one collection through lists, events and failures: what to ask next, and what an answer means.

No I/O and no clock, so that each case is tested as it comes. `oompolicy.kube.informer` does what is said here.

A collection is whole at first: by the events of WatchList (KEP-3157) up to the bookmark that ends them, by pages, or,
where a field selector leaves few objects, by one list. From then on it changes event by event, and the resource
version of the last one says where to resume. Where that is too old (410), the next whole list replaces everything, so
no deletion is ever missed.
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
"""Seconds: after a watch that ended earlier the next one waits, longer with each of several in a row."""
PAGE: Final = 500
"""Objects per request where the server has no WatchList: some megabytes of pods."""

_END_OF_LIST: Final = "k8s.io/initial-events-end"


class Handler(Protocol[T]):
    """Who is told. All calls come from the informer's thread."""

    def replaced(self, objects: dict[str, T]) -> None:
        """By uid all there are, after each whole list; what is not in it is gone. The dictionary is the handler's."""

    def changed(self, uid: str, obj: T) -> None:
        """One was added or modified."""

    def deleted(self, uid: str) -> None:
        """One is gone, or no longer selected. It may be one never heard of."""


class Following(Generic[T]):
    """Where one collection stands."""

    def __init__(
        self,
        keep: Callable[[dict[str, Any]], T],
        handler: Handler[T],
        uniform: Callable[[float, float], float] = random.uniform,
        *,
        few: bool = False,
    ) -> None:
        """`uniform` draws the part of a delay that is waited: full jitter, so that not all clients come at once.

        `few`: a field selector leaves few objects. The API server finds the pods of a node by an index when it lists
        them, but begins a WatchList by going through all pods: of 50,000, that takes it 131 ms of CPU and not 7.
        """
        self._keep = keep
        self._handler = handler
        self._uniform = uniform
        self._list: dict[str, T] | None = None  # a whole list that is coming in
        self._resource_version = ""
        self._few = few
        self._watch_list = not few
        self._heard = False
        self._served = False  # a list came, or a watch was opened, since the last turn ended
        self._failures = 0
        self._brief = 0  # turns in a row whose watch did not last, though the server was there
        self.synced = False
        self.failing = ""

    @property
    def needs_pages(self) -> bool:
        """Whether a whole list is needed that does not come by WatchList."""
        return not self._resource_version and not self._watch_list

    def page_query(self, token: str) -> dict[str, str]:
        """The query for the page that `token` stands for, the empty one for the first."""
        if self._few:
            # From the cache, which has the index; before 1.34, whatever has a limit comes from etcd and has none.
            return {"resourceVersion": "0"}
        return {"limit": str(PAGE), "continue": token} if token else {"limit": str(PAGE)}

    def page(self, page: Mapping[str, Any]) -> str:
        """One page of a list: the token of the next, empty after the last."""
        found = self._list = {} if self._list is None else self._list
        found.update((item["metadata"]["uid"], self._keep(item)) for item in page.get("items") or ())
        metadata = page["metadata"]
        if token := metadata.get("continue", ""):
            return str(token)
        self._whole(found, metadata["resourceVersion"])
        return ""

    def watch(self, timeout: int) -> dict[str, str]:
        """Begin a watch that the server shall end after `timeout` seconds: its query."""
        self._heard = False
        query = {"watch": "true", "allowWatchBookmarks": "true", "timeoutSeconds": str(timeout)}
        if self._resource_version:
            return {**query, "resourceVersion": self._resource_version}
        self._list = {}
        return {**query, "sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}

    def opened(self) -> None:
        """The server took the watch. One that resumes is as good as an event."""
        if self._list is None:
            self.failing = ""
            self._served = True

    def event(self, event: Mapping[str, Any]) -> None:
        """One event of the watch. ApiError where the event is an error."""
        kind, obj = event["type"], event["object"]
        if kind == "ERROR":
            raise from_status(obj)
        self._heard = True
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
        """The server ended the watch after `lasted` seconds, as it does from time to time. Seconds to wait."""
        if self._list is not None or not self._heard:
            return self._fail("the watch ended before it said anything", lasted)
        self._turned(lasted)
        return self._delay(self._brief) if self._brief else 0.0

    def silent(self, lasted: float) -> float:
        """The watch delivered nothing for a while, not even a bookmark. Seconds to wait.

        This is no failure. The API server sends no bookmarks of a collection that has had no event since its start
        (Cacher.dispatchEvents in apiserver/pkg/storage/cacher). If the server is gone, the next watch fails.
        """
        if self._list is not None:
            return self._fail("the list has come to a halt", lasted)
        self._turned(lasted)
        return self._delay(1)

    def failed(self, error: ApiError | UnreachableError, lasted: float = 0.0) -> float:
        """List, watch or event failed; a watch had lasted for `lasted` seconds. Seconds to wait."""
        status = error.status if isinstance(error, ApiError) else None
        refused = status in (400, 422)
        if refused and not self._resource_version and self._watch_list:
            # What a server without WatchList says to the parameters that ask for it.
            self._watch_list, self._list = False, None
            return 0.0
        if refused or status == 410:
            self._resource_version = ""
        if status == 410:
            # The server is well; what came before may have been its restart.
            self._failures = 0
        return self._fail(str(error), lasted) + ((error.retry_after or 0.0) if isinstance(error, ApiError) else 0.0)

    def forget(self) -> None:
        """Nothing is wrong, but a whole list is needed."""
        self._resource_version = ""
        self._list = None

    def restart(self, reason: str, lasted: float = 0.0) -> float:
        """What was told may not be what is there, so a whole list is needed. Seconds to wait."""
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
        self.failing = ""
        self.synced = True

# SPDX-License-Identifier: Apache-2.0
"""Informs a handler of all changes of one collection, from a thread.

This is written by hand because `kubernetes.informer.SharedInformer` (37.0.2) does not suit thousands of agents. It
builds typed objects (79 KB for a pod), begins with one list of all objects, and retries a failed list every five
seconds. It also only logs the exceptions of its handlers.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from oompolicy.kube.errors import ApiError, SilentError, UnreachableError
from oompolicy.kube.following import Following, Handler

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from oompolicy.kube.connection import Connection
    from oompolicy.kube.stream import Stream

__all__ = ["Handler", "Informer"]

T = TypeVar("T")

_SILENCE: Final = 90.0
"""Seconds without an event or bookmark after which a stream counts as dead. The API server sends about one a minute."""
_WATCH: Final = (300, 600)
"""Seconds that a watch lasts, drawn at random, so that the watches of many clients do not end together."""
_PAGE_TIMEOUT: Final = 60.0
_METADATA: Final = "application/json;as={};v=v1;g=meta.k8s.io"

log = logging.getLogger(__name__)


class Informer(Generic[T]):
    """A thread that follows one collection, such as all pods, the pods of a node, or all policies.

    `keep` reduces a raw object to its relevant part, and must accept every object of the server. The objects of a list
    have neither `apiVersion` nor `kind`. With `metadata_only` they have only `metadata`.
    """

    def __init__(
        self,
        connection: Connection,
        path: str,
        *,
        keep: Callable[[dict[str, Any]], T],
        handler: Handler[T],
        field_selector: str = "",
        list_only: str = "",
        label_selector: str = "",
        metadata_only: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Prepare the thread, which `start` starts.

        `list_only` is a second field selector, only for lists. A watch does not use it, because the API server reports
        an object that leaves a selection as deleted and with its previous state. The handler would miss the last state.
        """
        self._connection = connection
        self._path = path
        self._selectors = {
            name: text for name, text in (("fieldSelector", field_selector), ("labelSelector", label_selector)) if text
        }
        fields = ",".join(filter(None, (field_selector, list_only)))
        self._list_selectors = {**self._selectors, "fieldSelector": fields} if fields else self._selectors
        self._headers = dict(headers or {})
        self._metadata_only = metadata_only
        self._following = Following(keep, handler, few=bool(field_selector))
        self._stopped = threading.Event()
        self._again = False
        self._stream: Stream | None = None
        self._opened: float | None = None
        # A daemon, because it must not keep the process from ending.
        self._thread = threading.Thread(target=self._run, name=f"informer {path}", daemon=True)
        self.last_reply = time.monotonic()

    @property
    def synced(self) -> bool:
        """True after the first complete list."""
        return self._following.synced

    @property
    def failing(self) -> str | None:
        """The problem while the collection cannot be listed or watched."""
        return f"{self._path}: {self._following.failing}" if self._following.failing else None

    @property
    def dead(self) -> bool:
        """True if the thread has ended without `stop`. The handler is then not called any more."""
        return self._thread.ident is not None and not self._thread.is_alive() and not self._stopped.is_set()

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread when the handler returns, or when a current request is answered or times out."""
        self._stopped.set()
        if stream := self._stream:
            stream.close()

    def relist(self) -> None:
        """Start again with a complete list, because `keep` has changed. Any thread may call this."""
        self._again = True
        if stream := self._stream:
            stream.close()

    def join(self, timeout: float | None = None) -> None:
        """Wait for at most `timeout` seconds until the thread has ended. The handler must not call this."""
        self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stopped.is_set():
            delay = self._turn()
            if self.failing and not self._stopped.is_set():
                log.warning("%s. Retrying in %.1f s", self.failing, delay)
            self._stopped.wait(delay)

    def _turn(self) -> float:
        """Follow the collection until the watch ends. Return the seconds to wait before the next turn."""
        self._opened = None
        try:
            if self._again:
                self._again = False
                self._following.forget()
            if self._following.needs_pages:
                self._read_pages()
            self._watch()
        except SilentError:
            return self._following.silent(self._lasted())
        except (ApiError, UnreachableError) as error:
            return self._following.failed(error, self._lasted())
        except Exception as error:  # the outermost loop of this thread, which must not end
            log.exception("%s: an event could not be handled", self._path)
            return self._following.restart(f"an event could not be handled: {error!r}", self._lasted())
        return 0.0 if self._again else self._following.ended(self._lasted())

    def _lasted(self) -> float:
        """Return the seconds since the watch was opened, or 0 if it was not opened."""
        return time.monotonic() - self._opened if self._opened is not None else 0.0

    def _read_pages(self) -> None:
        token = ""
        while True:
            query = {**self._list_selectors, **self._following.page_query(token)}
            headers = self._accept("PartialObjectMetadataList")
            page = self._connection.page(self._path, query=query, headers=headers, timeout=_PAGE_TIMEOUT)
            self.last_reply = time.monotonic()
            token = self._following.page(page)
            if not token or self._stopped.is_set():
                return

    def _watch(self) -> None:
        query = {**self._selectors, **self._following.watch(random.randint(*_WATCH))}  # noqa: S311
        headers = self._accept("PartialObjectMetadata")
        stream = self._connection.stream(self._path, query=query, headers=headers, read_timeout=_SILENCE)
        self._stream = stream
        if self._stopped.is_set() or self._again:  # set before there was a stream to close
            stream.close()
        self._opened = time.monotonic()
        self._following.opened()
        if not self._following.failing:  # the watch resumes, and the server accepted it
            self.last_reply = self._opened
        for event in stream:
            self.last_reply = time.monotonic()
            self._following.event(event)

    def _accept(self, kind: str) -> dict[str, str]:
        return {**self._headers, "Accept": _METADATA.format(kind)} if self._metadata_only else self._headers

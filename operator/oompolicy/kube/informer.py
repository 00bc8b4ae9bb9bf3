# SPDX-License-Identifier: Apache-2.0
"""Keeps someone informed of one collection, from a thread of its own."""

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
"""Seconds without an event or bookmark after which a stream is dead: the API server sends about one a minute."""
_WATCH: Final = (300, 600)
"""Seconds a watch lasts: at random, so that the watches of many clients do not end together."""
_PAGE_TIMEOUT: Final = 60.0
_METADATA: Final = "application/json;as={};v=v1;g=meta.k8s.io"

log = logging.getLogger(__name__)


class Informer(Generic[T]):
    """One thread, one collection: all pods, those of a node, all policies.

    `keep` makes of a raw object what is kept of it, and must take every object that the server has; in a list,
    these have neither `apiVersion` nor `kind`. With `metadata_only` they have no more than `metadata`.
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
        """Not started yet.

        `list_only` is a second field selector, for lists. A watch goes without it: an object that leaves a selection is
        told as deleted with its state from before, and the handler would not receive the last one.
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
        # It never keeps the process from ending.
        self._thread = threading.Thread(target=self._run, name=f"informer {path}", daemon=True)
        self.last_heard = time.monotonic()

    @property
    def synced(self) -> bool:
        """Has had a whole list since it started."""
        return self._following.synced

    @property
    def failing(self) -> str:
        """A sentence while it cannot list or watch, else empty."""
        return f"{self._path}: {self._following.failing}" if self._following.failing else ""

    @property
    def dead(self) -> bool:
        """Whether its thread has ended without `stop`: the handler is not called any more."""
        return self._thread.ident is not None and not self._thread.is_alive() and not self._stopped.is_set()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End as soon as the handler returns; where a request is under way, when it is answered or times out."""
        self._stopped.set()
        if stream := self._stream:
            stream.close()

    def relist(self) -> None:
        """Begin anew with a whole list, because `keep` keeps something else now. From any thread."""
        self._again = True
        if stream := self._stream:
            stream.close()

    def join(self, timeout: float | None = None) -> None:
        """Wait until it has ended, for `timeout` seconds at most. Not from the handler."""
        self._thread.join(timeout)

    def _run(self) -> None:
        while not self._stopped.is_set():
            delay = self._turn()
            if self.failing and not self._stopped.is_set():
                log.warning("%s; again in %.1f s", self.failing, delay)
            self._stopped.wait(delay)

    def _turn(self) -> float:
        """Follow for as long as it goes. Seconds to wait before the next turn."""
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
        except Exception as error:  # the outermost loop of this thread: without it nobody would be told anything
            log.exception("%s: an event could not be handled", self._path)
            return self._following.restart(f"an event could not be handled: {error!r}", self._lasted())
        return 0.0 if self._again else self._following.ended(self._lasted())

    def _lasted(self) -> float:
        """Seconds since the watch was opened; 0 where none was."""
        return time.monotonic() - self._opened if self._opened is not None else 0.0

    def _read_pages(self) -> None:
        token = ""
        while True:
            query = {**self._list_selectors, **self._following.page_query(token)}
            headers = self._accept("PartialObjectMetadataList")
            page = self._connection.page(self._path, query=query, headers=headers, timeout=_PAGE_TIMEOUT)
            self.last_heard = time.monotonic()
            token = self._following.page(page)
            if not token or self._stopped.is_set():
                return

    def _watch(self) -> None:
        query = {**self._selectors, **self._following.watch(random.randint(*_WATCH))}  # noqa: S311
        headers = self._accept("PartialObjectMetadata")
        stream = self._connection.stream(self._path, query=query, headers=headers, read_timeout=_SILENCE)
        self._stream = stream
        if self._stopped.is_set() or self._again:  # since before there was anything to close
            stream.close()
        self._opened = time.monotonic()
        self._following.opened()
        if not self._following.failing:  # it resumes, and the server took it
            self.last_heard = self._opened
        for event in stream:
            self.last_heard = time.monotonic()
            self._following.event(event)

    def _accept(self, kind: str) -> dict[str, str]:
        return {**self._headers, "Accept": _METADATA.format(kind)} if self._metadata_only else self._headers

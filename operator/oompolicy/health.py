# SPDX-License-Identifier: Apache-2.0
"""Serves the probes and metrics of operator and agent, from one thread.

Every pod of a cluster reaches the port, so no client may keep a probe of the kubelet from its answer:

- A connection has a few seconds in all, from its acceptance to the last byte of the answer.
- The number of open connections is bounded. A new one replaces the oldest of the address that has the most.
- The pages must not block. A page that takes much CPU time is `rationed`.

This is written by hand because Python's own servers lack these bounds: http.server limits neither the connections nor
the time of a request, and asyncio accepts all waiting connections before it reads from the first.
"""

from __future__ import annotations

import logging
import socket
import time
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector
from threading import Thread
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    Page = Callable[[], "Answer"]

_BACKLOG: Final = 1024
"""Connections that the kernel holds until they are accepted. The kernel makes further clients wait for a second."""
_AT_ONCE: Final = 16
"""Connections accepted in a row. Few, so that each one is read from again before many newer ones are there."""
_LONGEST_REQUEST: Final = 8192
"""Bytes of a request with its headers. The kubelet and Prometheus send some hundred."""
_NO_DESCRIPTOR: Final = 0.5
"""Seconds to pause where the process may open no more files."""
_SHARE: Final = 0.1
"""Seconds of CPU time per second for a rationed page."""
_BURST: Final = 0.5
"""Seconds of CPU time that a rationed page saves up at most."""

log = logging.getLogger(__name__)


class Answer(NamedTuple):
    """The answer to one request."""

    body: bytes
    status: int = 200
    content_type: str = "text/plain; charset=utf-8"


class Limits(NamedTuple):
    """The bounds for clients."""

    seconds: float = 5.0
    """The time of one connection."""
    connections: int = 128
    """The connections that are open at the same time."""


def probe(reasons: Callable[[], tuple[str, ...]]) -> Page:
    """Make a page with the sentences that `reasons` gives and status 503, or with `ok` and 200 if it gives none."""

    def page() -> Answer:
        found = reasons()
        text = "\n".join(found) or "ok"
        return Answer(f"{text}\n".encode(), 503 if found else 200)

    return page


def rationed(
    page: Page, clock: Callable[[], float] = time.monotonic, spent: Callable[[], float] = time.thread_time
) -> Page:
    """Make a page that gives its last answer again where a new one would take more than a tenth of a CPU.

    Prometheus does not ask that often. `clock` gives the time and `spent` this thread's CPU time, both in seconds.
    """
    budget, at, last = _BURST, clock(), Answer(b"")

    def rationing() -> Answer:
        nonlocal budget, at, last
        now, begun = clock(), spent()
        budget, at = min(_BURST, budget + (now - at) * _SHARE), now
        if budget > 0.0:
            last = page()
            budget -= spent() - begun
        return last

    return rationing


def serve(address: tuple[str, int], pages: Mapping[str, Page], limits: Limits | None = None) -> Server:
    """Start to serve `pages` by their paths. OSError: the address is in use, or is not one of this machine."""
    return Server(_listening(address), pages, limits or Limits())


def serve_locally(path: Path, pages: Mapping[str, Page], limits: Limits) -> Server:
    """Start to serve `pages` on a Unix socket, which only root and this user can use. OSError: it cannot be made.

    A socket that an earlier process left at `path` is replaced.
    """
    return Server(_local(path), pages, limits)


@dataclass(eq=False, slots=True)
class _Connection:
    socket: socket.socket
    host: str
    deadline: float
    request: bytes = b""
    answer: memoryview = field(default_factory=lambda: memoryview(b""))


class Server:
    """A thread that serves until `close`. `address` has the port that was chosen where 0 was asked for.

    The port of a Unix socket is 0.
    """

    def __init__(self, listener: socket.socket, pages: Mapping[str, Page], limits: Limits) -> None:
        """Begin to serve on a socket that listens. `close` closes it."""
        self._pages, self._limits = pages, limits
        self._listener = listener
        name = listener.getsockname()
        self.address: tuple[str, int] = (name, 0) if isinstance(name, str) else name[:2]
        self._stop, self._stopped = socket.socketpair()
        self._open: dict[_Connection, None] = {}  # the oldest first
        self._selector = DefaultSelector()
        for each in (self._listener, self._stopped):
            self._selector.register(each, EVENT_READ)
        self._thread = Thread(target=self._run, name="health", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread and all connections."""
        self._stop.close()
        self._thread.join()

    def _run(self) -> None:
        while self._turn():
            pass
        for connection in list(self._open):
            self._close(connection)
        for each in (self._selector, self._listener, self._stopped):
            each.close()

    def _turn(self) -> bool:
        """Wait for clients and serve those that are ready. False means that the thread is to end."""
        ready = [key for key, _ in self._selector.select(self._patience())]
        for key in ready:
            if key.data in self._open:
                self._go_on(key.data)
        self._expire(time.monotonic())
        found = {key.fileobj for key in ready}
        if self._listener in found:  # last, so that no new connection replaces one whose request has arrived
            self._accept()
        return self._stopped not in found

    def _patience(self) -> float | None:
        oldest = next(iter(self._open), None)
        return max(0.0, oldest.deadline - time.monotonic()) if oldest else None

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                accepted, peer = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                log.warning("a connection to %s:%d cannot be accepted: %s", *self.address, error)
                time.sleep(_NO_DESCRIPTOR)
                return
            accepted.setblocking(False)
            if len(self._open) >= self._limits.connections:
                self._close(self._most_crowded())
            # A client of a Unix socket has no address.
            connection = _Connection(accepted, peer[0] if peer else "", time.monotonic() + self._limits.seconds)
            self._open[connection] = None
            self._selector.register(accepted, EVENT_READ, connection)
            self._go_on(connection)  # the request has usually arrived

    def _most_crowded(self) -> _Connection:
        """Find the oldest connection of the address that has the most, so that one address replaces its own only."""
        number = Counter(each.host for each in self._open)
        most = max(number.values())
        return next(each for each in self._open if number[each.host] == most)

    def _expire(self, now: float) -> None:
        for connection in [each for each in self._open if each.deadline <= now]:
            self._close(connection)

    def _close(self, connection: _Connection) -> None:
        del self._open[connection]
        self._selector.unregister(connection.socket)
        connection.socket.close()

    def _go_on(self, connection: _Connection) -> None:
        """Read the bytes that have arrived, and answer once the request is whole."""
        try:
            if connection.answer or self._received(connection):
                self._send(connection)
        except BlockingIOError:
            pass
        except OSError:
            self._close(connection)

    def _received(self, connection: _Connection) -> bool:
        """Read once. True: there is an answer now. BlockingIOError: nothing has arrived. OSError: nothing will."""
        piece = connection.socket.recv(_LONGEST_REQUEST)
        if not piece:
            raise ConnectionAbortedError
        connection.request += piece
        if b"\r\n\r\n" in connection.request:
            connection.answer = memoryview(_encoded(self._answer(connection.request)))
        elif len(connection.request) > _LONGEST_REQUEST:
            connection.answer = memoryview(_encoded(Answer(b"the request is too long\n", 431)))
        return bool(connection.answer)

    def _answer(self, request: bytes) -> Answer:
        method, _, rest = request.partition(b"\r\n")[0].decode("latin-1").partition(" ")
        if method != "GET":
            return Answer(b"only GET is served\n", 405)
        page = self._pages.get(rest.partition(" ")[0].partition("?")[0])
        if page is None:
            return Answer(b"not found\n", 404)
        try:
            return page()
        except Exception:  # a defect of one page must not end the thread
            log.exception("a page cannot be made")
            return Answer(b"the page cannot be made: see the log\n", 500)

    def _send(self, connection: _Connection) -> None:
        sent = connection.socket.send(connection.answer)
        connection.answer = connection.answer[sent:]
        if connection.answer:
            self._selector.modify(connection.socket, EVENT_WRITE, connection)
        else:
            self._close(connection)


def _listening(address: tuple[str, int]) -> socket.socket:
    """Make a socket that listens. With socket.create_server, `::` would be an address for IPv6 only."""
    listener = socket.socket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _local(path: Path) -> socket.socket:
    """Make a Unix socket that listens. Nobody can connect before its mode is set, because it does not listen yet."""
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
    except OSError:
        listener.close()
        raise
    return listener


def _encoded(answer: Answer) -> bytes:
    head = (
        f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}\r\nContent-Type: {answer.content_type}\r\n"
        f"Content-Length: {len(answer.body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode("latin-1") + answer.body

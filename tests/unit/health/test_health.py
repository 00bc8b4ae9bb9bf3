# SPDX-License-Identifier: Apache-2.0
"""Probes are answered while other clients of the port drip, crowd, stall, or ask for too much."""

from __future__ import annotations

import http.client
import resource
import socket
import threading
import time
from contextlib import ExitStack, contextmanager
from selectors import EVENT_READ, DefaultSelector
from typing import TYPE_CHECKING

import pytest

from oompolicy.health import Answer, Limits, probe, rationed, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oompolicy.health import Page, Server

ATTACKERS = 2_000
LOCAL = ("127.0.0.1", 0)


def ok() -> tuple[str, ...]:
    return ()


@contextmanager
def serving(limits: Limits | None = None, host: str = "127.0.0.1", **pages: Page) -> Iterator[Server]:
    named = {f"/{name}": page for name, page in pages.items()}
    server = serve((host, 0), {"/livez": probe(ok), **named}, limits)
    try:
        yield server
    finally:
        server.close()


def get(server: Server, path: str = "/livez", *, source: str = "", timeout: float = 10.0) -> tuple[int, str]:
    connection = http.client.HTTPConnection(*server.address, timeout, (source, 0) if source else None)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


@pytest.fixture
def many_files() -> Iterator[None]:
    """Allow this process enough open files for client and server."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 2 * ATTACKERS + 500), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Drip:
    """Holds `ATTACKERS` connections, sends a byte on each again and again, and replaces each one that is closed."""

    def __init__(self, address: tuple[str, int], source: str) -> None:
        self._address, self._source = address, source
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.reopened = 0
        self.begun = threading.Event()

    def __enter__(self) -> Drip:
        self._thread.start()
        assert self.begun.wait(60)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        with ExitStack() as stack:
            sockets = [stack.enter_context(self._connect()) for _ in range(ATTACKERS)]
            self.begun.set()
            while not self._ended.is_set():
                for number, each in enumerate(sockets):
                    if not self._alive(each):
                        each.close()
                        sockets[number] = stack.enter_context(self._connect())
                        self.reopened += 1

    def _connect(self) -> socket.socket:
        made = socket.create_connection(self._address, 60, (self._source, 0))
        made.setblocking(False)
        return made

    def _alive(self, each: socket.socket) -> bool:
        try:
            each.send(b"G")
        except OSError:
            return False
        return True


@pytest.mark.usefixtures("many_files")
@pytest.mark.parametrize("source", ["127.0.0.1", "127.0.0.2"], ids=["of the same address", "of another address"])
def test_probes_are_answered_while_thousands_of_connections_drip(source: str) -> None:
    """Each probe is answered within a second, though the attacker replaces each closed connection at once.

    The second is CPU time of this process, in which prober, attacker and server run. The attacker never sleeps, so CPU
    time passes while a probe waits for the server. On a busy machine the clock also counts the time in which none of
    the three runs: with a twentieth of a CPU a probe took two seconds on the clock, and less than 0.1 s of CPU time.
    """
    with serving() as server, Drip(server.address, source) as drip:
        begun, answered = time.process_time(), 0
        while answered < 20 or drip.reopened < ATTACKERS:
            asked = time.process_time()
            assert (200, "ok\n") == get(server, source="127.0.0.1", timeout=60.0)
            assert time.process_time() - asked < 1.0
            answered += 1
            assert time.process_time() - begun < 60


def test_clients_of_one_address_replace_no_connection_of_another() -> None:
    """The connections of other addresses stay until their time is over, even if one address opens many."""
    with serving(Limits(seconds=60.0, connections=4)) as server, ExitStack() as stack:
        slow = stack.enter_context(socket.create_connection(server.address, 10, ("127.0.0.2", 0)))
        slow.sendall(b"GET /livez HTTP/1.1\r\n")
        for _ in range(20):
            stack.enter_context(socket.create_connection(server.address, 10))
        assert (200, "ok\n") == get(server)
        slow.sendall(b"\r\n")

        assert slow.recv(1000).startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_connection_beyond_the_bound_ends_the_oldest() -> None:
    """If one connection more than allowed is opened, only the oldest one is closed."""
    with serving(Limits(seconds=60.0, connections=2)) as server, ExitStack() as stack:
        first, second, third = (stack.enter_context(socket.create_connection(server.address, 10)) for _ in range(3))

        assert b"" == first.recv(1)
        for each in (second, third):
            each.sendall(b"GET /livez HTTP/1.1\r\n\r\n")
            assert each.recv(1000).endswith(b"ok\n")


def test_a_dripping_request_has_one_deadline() -> None:
    """A connection is closed at its deadline, even if it still sends bytes."""
    with serving(Limits(seconds=0.5)) as server, socket.create_connection(server.address, 0.05) as drip:
        begun = time.monotonic()
        while not closed(drip):
            assert time.monotonic() - begun < 10
        taken = time.monotonic() - begun

    assert taken >= 0.45


def closed(drip: socket.socket) -> bool:
    """Send one more byte, and return whether the server has closed the connection."""
    try:
        drip.sendall(b"G")
        drip.recv(1)
    except TimeoutError:
        return False
    except OSError:
        pass
    return True


def test_an_answer_that_is_not_read_has_the_same_deadline() -> None:
    """A client that does not read an answer larger than the kernel's buffers gets only a part of it."""
    big = Answer(b"x" * 50_000_000)
    with serving(Limits(seconds=0.5), metrics=lambda: big) as server:
        with socket.create_connection(server.address, 10) as greedy, DefaultSelector() as selector:
            greedy.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
            selector.register(greedy, EVENT_READ)
            assert selector.select(10)
            assert (200, "ok\n") == get(server)
            assert (200, "ok\n") == get(server)
            time_out(server)
            taken = b"".join(iter(lambda: received(greedy), b""))

        assert len(taken) < len(big.body)


def time_out(server: Server) -> None:
    """Wait for as long as a connection may be open."""
    with socket.create_connection(server.address, 10) as idle:
        assert b"" == idle.recv(1)


def received(connection: socket.socket) -> bytes:
    try:
        return connection.recv(1 << 20)
    except ConnectionResetError:
        return b""


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /other HTTP/1.1\r\n\r\n", b"404 Not Found"),
        (b"GET\r\n\r\n", b"404 Not Found"),
        (b"GET \r\n\r\n", b"404 Not Found"),
        (b"\r\n\r\n", b"405 Method Not Allowed"),
        (b"\xff\x00 /livez\r\n\r\n", b"405 Method Not Allowed"),
        (b"POST /livez HTTP/1.1\r\n\r\n", b"405 Method Not Allowed"),
        (b"GET /livez HTTP/1.1\r\n".ljust(8193, b"a"), b"431 Request Header Fields Too Large"),
        (b"GET /broken HTTP/1.1\r\n\r\n", b"500 Internal Server Error"),
    ],
)
def test_other_requests_are_refused(request_: bytes, status: bytes) -> None:
    """Each gets an answer with a status of 400 or more, and the server continues."""

    def broken() -> Answer:
        raise ZeroDivisionError

    with serving(broken=broken) as server:
        with socket.create_connection(server.address, 10) as client:
            client.sendall(request_)
            assert client.recv(1000).startswith(b"HTTP/1.1 " + status)
        assert (200, "ok\n") == get(server)


def test_a_probe_gives_its_reasons() -> None:
    """The status is 200 without reasons, else 503 with one reason per line. The query of the path has no effect."""
    reasons: list[str] = []
    with serving(readyz=probe(lambda: tuple(reasons))) as server:
        before = get(server, "/readyz")
        reasons += ["ü: one", "two"]

        assert (200, "ok\n") == before
        assert (503, "ü: one\ntwo\n") == get(server, "/readyz?verbose")


def test_a_request_may_come_in_pieces() -> None:
    """A request that arrives in pieces, as over a slow line, is answered."""
    with serving() as server, socket.create_connection(server.address, 10) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in (b"GET /liv", b"ez HTTP/1.1\r\nHost: x\r\n\r", b"\n"):
            client.sendall(piece)
        assert client.recv(1000).endswith(b"\r\n\r\nok\n")


def test_it_serves_ipv6() -> None:
    """Probes are answered on an IPv6 address, as in a cluster without IPv4."""
    with serving(host="::1") as server:
        assert (200, "ok\n") == get(server)


def test_an_address_in_use_is_an_error() -> None:
    """The caller of `serve` gets the error, before a thread starts."""
    with serving() as server, pytest.raises(OSError, match="Address already in use"):
        serve(server.address, {})


def test_a_closed_server_frees_its_port() -> None:
    """After `close` all connections are closed, and another server can use the port."""
    with serving() as server, socket.create_connection(server.address, 10) as client:
        get(server)
        server.close()
        assert b"" == client.recv(1)
        serve(server.address, {}).close()


def test_an_expensive_page_is_made_for_a_tenth_of_the_time() -> None:
    """When the saved CPU time is used up, the last answer is given again until there is time for another one."""
    now, spent, made = 0.0, 0.0, 0

    def expensive() -> Answer:
        nonlocal made, spent
        made, spent = made + 1, spent + 0.2
        return Answer(b"%d" % made)

    page = rationed(expensive, lambda: now, lambda: spent)
    flood = [page().body for _ in range(100)]
    now += 1.5
    after = page().body

    assert [b"1", b"2", b"3", *[b"3"] * 97] == flood
    assert b"4" == after

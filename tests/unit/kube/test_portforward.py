# SPDX-License-Identifier: Apache-2.0
"""A socket reaches the port of a pod through the API server, and a refusal is an error with the server's sentence."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from oompolicy.kube.connection import connect
from oompolicy.kube.errors import ApiError, UnreachableError
from oompolicy.kube.portforward import get
from tests.unit.kube.peer import DATA, ERROR, PORT, Peer, frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from oompolicy.kube.connection import Connection

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi"
FORBIDDEN = {"kind": "Status", "code": 403, "reason": "Forbidden", "message": 'cannot get resource "pods/portforward"'}


@contextmanager
def serving(folder: Path, answer: Callable[[Peer], None]) -> Iterator[tuple[Connection, list[bytes]]]:
    """Serve one connection. Yield a client, and the head of the request."""
    heads: list[bytes] = []
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"

        def serve() -> None:
            connected, _ = listener.accept()
            with connected:
                peer = Peer(connected)
                heads.append(peer.head)
                answer(peer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield connect(kubeconfig(folder, url)), heads
        thread.join()


def kubeconfig(folder: Path, url: str) -> Path:
    file = folder / "kubeconfig"
    file.write_text(
        json.dumps(
            {
                "clusters": [{"name": "c", "cluster": {"server": url}}],
                "users": [{"name": "u", "user": {"token": "secret"}}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                "current-context": "x",
            }
        )
    )
    return file


def asked(connection: Connection) -> tuple[int, bytes]:
    return get(connection, "ns", "agent-a", PORT, "/order", timeout=10)


def test_a_request_reaches_the_pod_and_its_answer_comes_back(tmp_path: Path) -> None:
    """The request has the token of the kubeconfig, and names the pod and its port."""
    seen: list[bytes] = []

    def answer(peer: Peer) -> None:
        peer.accept()
        seen.append(peer.received())
        peer.socket.sendall(frame(DATA, ANSWER))

    with serving(tmp_path, answer) as (connection, heads):
        assert (200, b"hi") == asked(connection)

    assert heads[0].startswith(b"GET /api/v1/namespaces/ns/pods/agent-a/portforward?ports=9809 HTTP/1.1\r\n")
    assert b"authorization: Bearer secret\r\n" in heads[0]
    assert seen[0].startswith(b"\x00GET /order HTTP/1.1\r\n")


def test_an_answer_in_many_messages_is_whole(tmp_path: Path) -> None:
    """The pod closes the connection right behind its answer."""

    def answer(peer: Peer) -> None:
        peer.accept()
        peer.received()
        head = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 6000\r\n\r\n"
        peer.send(head + b"x" * 6000)

    with serving(tmp_path, answer) as (connection, _):
        assert (503, b"x" * 6000) == asked(connection)


def test_an_answer_that_ends_early_is_an_error(tmp_path: Path) -> None:
    """The agent may end while it answers, or before."""

    def answer(peer: Peer) -> None:
        peer.accept()
        peer.received()
        peer.socket.sendall(frame(DATA, ANSWER[:-1]))

    def silence(peer: Peer) -> None:
        peer.accept()
        peer.received()

    for behaviour in (answer, silence):
        with (
            serving(tmp_path, behaviour) as (connection, _),
            pytest.raises(UnreachableError, match="no answer from port 9809 of the pod: "),
        ):
            asked(connection)


def test_a_refusal_of_the_server_has_its_message(tmp_path: Path) -> None:
    """The user may have no right to pods/portforward."""
    body = json.dumps(FORBIDDEN).encode()
    head = f"HTTP/1.1 403 Forbidden\r\nContent-Length: {len(body)}\r\n\r\n".encode()

    with (
        serving(tmp_path, lambda peer: peer.socket.sendall(head + body)) as (connection, _),
        pytest.raises(ApiError) as caught,
    ):
        asked(connection)
    assert (403, FORBIDDEN["message"]) == (caught.value.status, caught.value.message)


def test_an_error_of_the_kubelet_is_its_sentence(tmp_path: Path) -> None:
    """An agent of an earlier release does not listen on the port."""

    def answer(peer: Peer) -> None:
        peer.accept()
        peer.received()
        peer.socket.sendall(frame(ERROR, b"connection refused\n"))

    with (
        serving(tmp_path, answer) as (connection, _),
        pytest.raises(UnreachableError, match=r"^connection refused$"),
    ):
        asked(connection)


def test_a_server_that_is_away_is_named(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as unused:
        port = unused.getsockname()[1]
    connection = connect(kubeconfig(tmp_path, f"http://127.0.0.1:{port}"))

    with pytest.raises(UnreachableError, match=rf"no answer from http://127\.0\.0\.1:{port}: "):
        asked(connection)

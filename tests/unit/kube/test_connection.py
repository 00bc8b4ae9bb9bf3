# SPDX-License-Identifier: Apache-2.0
"""A request gives an object, or says in a sentence why not; a stream ends when it is told to."""

from __future__ import annotations

import gc
import json
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from oompolicy.kube.client import Configuration
from oompolicy.kube.connection import Connection, apply, connect
from oompolicy.kube.errors import ApiError, SilentError, UnreachableError
from tests.unit.kube.server import Answer, serving, status

if TYPE_CHECKING:
    from pathlib import Path


def test_a_request_gives_the_object_of_the_answer() -> None:
    """With the query and the headers it was given."""
    with serving(Answer(body={"kind": "PodList"})) as server:
        answer = Connection(server.configuration).request(
            "GET", "/api/v1/pods", query={"limit": "5"}, headers={"Impersonate-User": "x"}
        )

    assert {"kind": "PodList"} == answer
    (asked,) = server.asked
    assert ("GET", "/api/v1/pods", {"limit": "5"}) == (asked.method, asked.path, asked.query)
    assert "x" == asked.headers["Impersonate-User"]


def test_an_apply_is_a_patch_with_its_manager() -> None:
    """Force is said either way, and the subresource is part of the path."""
    with serving(Answer(body={})) as server:
        apply(Connection(server.configuration), "/apis/x", {"a": 1}, manager="me", subresource="status", force=True)

    (asked,) = server.asked
    assert ("PATCH", "/apis/x/status") == (asked.method, asked.path)
    assert {"fieldManager": "me", "force": "true"} == asked.query
    assert "application/apply-patch+yaml" == asked.headers["Content-Type"]
    assert {"a": 1} == json.loads(asked.body)


def test_a_refusal_says_status_reason_and_message() -> None:
    """As the Status object does."""
    refused = Answer(409, status(409, "Conflict", "conflict with kubectl"))
    with serving(refused) as server, pytest.raises(ApiError) as caught:
        Connection(server.configuration).request("GET", "/x")

    assert (409, "Conflict", "conflict with kubectl", None) == (
        caught.value.status,
        caught.value.reason,
        caught.value.message,
        caught.value.retry_after,
    )
    assert "409 Conflict: conflict with kubectl" == str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(429, status(429, "TooManyRequests", "slow down"), {"Retry-After": "7"}),
        Answer(429, status(429, "TooManyRequests", "slow down", retryAfterSeconds=7)),
        Answer(429, status(429, "TooManyRequests", "slow down", retryAfterSeconds=1), {"Retry-After": "7"}),
    ],
    ids=["header", "body", "both"],
)
def test_a_refusal_says_when_to_come_again(answer: Answer) -> None:
    """By the header, or else by the body."""
    with serving(answer) as server, pytest.raises(ApiError) as caught:
        Connection(server.configuration).request("GET", "/x")

    assert 7.0 == caught.value.retry_after


def test_a_refusal_by_something_else_than_an_api_server_shows_its_page() -> None:
    """A proxy's error page, for instance: shortened, since a page can be long."""
    with serving(Answer(502, b"<html>\n" + b"bad gateway " * 100)) as server, pytest.raises(ApiError) as caught:
        Connection(server.configuration).request("GET", "/x")

    assert caught.value.message.startswith("<html> bad gateway bad gateway")
    assert 200 == len(caught.value.message)


@pytest.mark.parametrize("body", [b"<html>", b"[]"])
def test_an_answer_that_is_no_object_comes_from_no_api_server(body: bytes) -> None:
    """Although its status is 200."""
    with serving(Answer(200, body)) as server, pytest.raises(UnreachableError, match="no API server"):
        Connection(server.configuration).request("GET", "/x")


def test_nobody_there_is_said_with_the_address() -> None:
    """And the reason, in the words of the system."""
    with serving() as server:
        connection = Connection(server.configuration)
    with pytest.raises(UnreachableError, match=f"no answer from {server.url}: .*Connection refused"):
        connection.request("GET", "/x")


def test_a_server_that_ends_before_the_handshake_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where Python loses the socket then (pyproject.toml), which is told when it is collected."""
    listening = socket.create_server(("127.0.0.1", 0))

    def connect_and_reset(*_words: object, **_options: object) -> socket.socket:
        found = socket.create_connection(listening.getsockname())
        listening.close()
        return found

    monkeypatch.setattr("urllib3.util.connection.create_connection", connect_and_reset)
    configuration = Configuration(host=f"https://127.0.0.1:{listening.getsockname()[1]}")
    with pytest.raises(UnreachableError, match="Connection reset by peer"):
        Connection(lambda: configuration).request("GET", "/x")
    gc.collect()


def test_a_silent_server_is_unreachable() -> None:
    """After `timeout` seconds."""
    with serving(Answer(events=())) as server, pytest.raises(UnreachableError, match="timed out"):
        Connection(server.configuration).request("GET", "/x", timeout=0.05)


def test_a_refused_token_is_read_again_at_once() -> None:
    """Once per refusal; the new one is kept."""
    tokens = iter(["old", "new"])
    answers = (Answer(401, status(401, "Unauthorized", "expired")), Answer(body={}), Answer(body={}))
    with serving(*answers) as server:
        connection = Connection(lambda: server.configuration(next(tokens)))
        connection.request("GET", "/x")
        connection.request("GET", "/x")

    assert ["Bearer old", "Bearer new", "Bearer new"] == [asked.headers["Authorization"] for asked in server.asked]


def test_a_token_refused_twice_is_an_error() -> None:
    """The caller decides when to try again."""
    refused = Answer(401, status(401, "Unauthorized", "who are you"))
    with serving(refused, refused) as server, pytest.raises(ApiError) as caught:
        Connection(lambda: server.configuration("no")).request("GET", "/x")

    assert 401 == caught.value.status
    assert 2 == len(server.asked)


def test_a_token_that_cannot_be_read_is_said() -> None:
    """As when the volume with it is away for a moment."""
    found: list[Configuration | OSError] = []
    with serving(Answer(401, status(401, "Unauthorized", "expired"))) as server:
        found = [server.configuration("old"), FileNotFoundError("no such file: token")]

        def load() -> Configuration:
            match found.pop(0):
                case OSError() as error:
                    raise error
                case configuration:
                    return configuration

        with pytest.raises(UnreachableError, match="no such file: token"):
            Connection(load).request("GET", "/x")


def test_a_stream_gives_object_after_object() -> None:
    """Until the server ends it."""
    with serving(Answer(events=({"n": 1}, {"n": 2}))) as server:
        stream = iter(Connection(server.configuration).stream("/x", read_timeout=10))
        first = [next(stream), next(stream)]
        server.finish.set()

        assert [{"n": 1}, {"n": 2}] == first
        assert [] == list(stream)


@pytest.mark.parametrize("line", [[1], "x", b"{", b"[" * 100_000], ids=["list", "string", "half", "deep"])
def test_a_stream_of_no_objects_is_no_api_servers(line: object) -> None:
    """An error that its reader knows."""
    with serving(Answer(events=(line,))) as server:
        stream = iter(Connection(server.configuration).stream("/x", read_timeout=10))

        with pytest.raises(UnreachableError, match="the stream is no API server's"):
            next(stream)


def test_an_answer_that_is_nested_without_end_is_no_api_servers() -> None:
    """Python's own reader gives up with another error than for what is no JSON."""
    with serving(Answer(body=b"[" * 100_000)) as server, pytest.raises(UnreachableError, match="no API server"):
        Connection(server.configuration).request("GET", "/x")


def test_a_stream_that_is_silent_for_too_long_says_so() -> None:
    """`read_timeout` seconds; the server may be well, and have nothing to say."""
    with serving(Answer(events=({"n": 1},))) as server:
        stream = iter(Connection(server.configuration).stream("/x", read_timeout=0.05))

        assert {"n": 1} == next(stream)
        with pytest.raises(SilentError, match="timed out"):
            next(stream)


def test_a_stream_is_closed_from_another_thread() -> None:
    """At once, although the server says nothing, and without an error."""
    with serving(Answer(events=({"n": 1},))) as server:
        stream = Connection(server.configuration).stream("/x", read_timeout=600)
        seen: list[object] = []
        first = threading.Event()

        def read() -> None:
            for event in stream:
                seen.append(event)
                first.set()

        reader = threading.Thread(target=read)
        reader.start()
        assert first.wait(10)
        stream.close()
        reader.join(10)

        assert not reader.is_alive()
        assert [{"n": 1}] == seen


def test_a_stream_that_is_refused_is_an_error_before_it_begins() -> None:
    """With the sentence of the server."""
    with serving(Answer(410, status(410, "Expired", "too old"))) as server, pytest.raises(ApiError) as caught:
        Connection(server.configuration).stream("/x", read_timeout=10)

    assert (410, "Expired") == (caught.value.status, caught.value.reason)


def test_a_missing_kubeconfig_is_named(tmp_path: Path) -> None:
    """Before anything else is tried."""
    with pytest.raises(FileNotFoundError, match=f"there is no kubeconfig {tmp_path}/config"):
        connect(tmp_path / "config")


def test_an_unusable_kubeconfig_is_named(tmp_path: Path) -> None:
    """With what is wrong with it."""
    path = tmp_path / "config"
    path.write_text("{apiVersion: v1, kind: Config, current-context: here}")

    with pytest.raises(ValueError, match=f"{path} cannot be used: .*contexts"):
        connect(path)


def test_outside_of_a_pod_there_is_no_service_account(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the user is told what else there is."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)

    with pytest.raises(ValueError, match="not in a pod, and no kubeconfig given"):
        connect(None)

# SPDX-License-Identifier: Apache-2.0
"""A request returns an object or raises an error with a reason. A stream ends when it is closed."""

from __future__ import annotations

import gc
import json
import socket
import threading
from typing import TYPE_CHECKING, cast

import pytest

from oompolicy.kube.client import Configuration
from oompolicy.kube.connection import Connection, apply, connect
from oompolicy.kube.errors import ApiError, SilentError, UnreachableError
from tests.unit.kube.server import Answer, serving, status

if TYPE_CHECKING:
    from http.client import HTTPConnection
    from pathlib import Path


def test_a_request_returns_the_object_of_the_answer() -> None:
    """The query and the headers are sent."""
    with serving(Answer(body={"kind": "PodList"})) as server:
        answer = Connection(server.configuration).request(
            "GET", "/api/v1/pods", query={"limit": "5"}, headers={"Impersonate-User": "x"}
        )

    assert {"kind": "PodList"} == answer
    (asked,) = server.asked
    assert "GET" == asked.method
    assert "/api/v1/pods" == asked.path
    assert {"limit": "5"} == asked.query
    assert "x" == asked.headers["Impersonate-User"]


def test_an_apply_is_a_patch_with_its_manager() -> None:
    """The query has `force` in any case, and the path has the subresource."""
    with serving(Answer(body={})) as server:
        apply(Connection(server.configuration), "/apis/x", {"a": 1}, manager="me", subresource="status", force=True)

    (asked,) = server.asked
    assert "PATCH" == asked.method
    assert "/apis/x/status" == asked.path
    assert {"fieldManager": "me", "force": "true"} == asked.query
    assert "application/apply-patch+yaml" == asked.headers["Content-Type"]
    assert {"a": 1} == json.loads(asked.body)


def test_a_refusal_has_status_reason_and_message() -> None:
    """They are those of the Status object."""
    refused = Answer(409, status(409, "Conflict", "conflict with kubectl"))
    with serving(refused) as server, pytest.raises(ApiError) as caught:
        Connection(server.configuration).request("GET", "/x")

    assert 409 == caught.value.status
    assert "Conflict" == caught.value.reason
    assert "conflict with kubectl" == caught.value.message
    assert caught.value.retry_after is None
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
def test_a_refusal_has_the_time_of_the_next_try(answer: Answer) -> None:
    """The header counts before the body."""
    with serving(answer) as server, pytest.raises(ApiError) as caught:
        Connection(server.configuration).request("GET", "/x")

    assert 7.0 == caught.value.retry_after


def test_a_refusal_by_a_proxy_has_the_start_of_its_page() -> None:
    """A proxy's error page may be long, so the message is cut."""
    with serving(Answer(502, b"<html>\n" + b"bad gateway " * 100)) as server, pytest.raises(ApiError) as caught:
        Connection(server.configuration).request("GET", "/x")

    assert caught.value.message.startswith("<html> bad gateway bad gateway")
    assert 200 == len(caught.value.message)


@pytest.mark.parametrize("body", [b"<html>", b"[]"])
def test_an_answer_without_an_object_is_not_from_an_api_server(body: bytes) -> None:
    """The status 200 does not matter."""
    with serving(Answer(200, body)) as server, pytest.raises(UnreachableError, match="is not an API server"):
        Connection(server.configuration).request("GET", "/x")


def test_a_refused_connection_is_reported_with_the_address() -> None:
    """The message has the reason of the operating system."""
    with serving() as server:
        connection = Connection(server.configuration)
    with pytest.raises(UnreachableError, match=f"no answer from {server.url}: .*Connection refused"):
        connection.request("GET", "/x")


def test_a_server_that_ends_before_the_handshake_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some Python versions lose the socket then (see pyproject.toml), and warn when it is collected."""
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
    """The request fails after `timeout` seconds."""
    with serving(Answer(events=())) as server, pytest.raises(UnreachableError, match="timed out"):
        Connection(server.configuration).request("GET", "/x", timeout=0.05)


def test_a_refused_token_is_replaced_at_once() -> None:
    """The credentials are read once per refusal, and the new token is kept."""
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


def test_an_unreadable_token_is_reported() -> None:
    """The volume with the token may be missing for a moment."""
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


def test_a_stream_yields_one_object_after_the_other() -> None:
    """It ends when the server ends the answer."""
    with serving(Answer(events=({"n": 1}, {"n": 2}))) as server:
        stream = iter(Connection(server.configuration).stream("/x", read_timeout=10))
        first = [next(stream), next(stream)]
        server.finish.set()

        assert [{"n": 1}, {"n": 2}] == first
        assert [] == list(stream)


@pytest.mark.parametrize("line", [[1], "x", b"{", b"[" * 100_000], ids=["list", "string", "half", "deep"])
def test_a_line_without_an_object_is_not_from_an_api_server(line: object) -> None:
    """The reader knows the error."""
    with serving(Answer(events=(line,))) as server:
        stream = iter(Connection(server.configuration).stream("/x", read_timeout=10))

        with pytest.raises(UnreachableError, match="the stream does not come from an API server"):
            next(stream)


def test_an_answer_nested_too_deep_is_not_from_an_api_server() -> None:
    """Python's parser raises another error for it than for text that is not JSON."""
    with serving(Answer(body=b"[" * 100_000)) as server, pytest.raises(UnreachableError, match="is not an API server"):
        Connection(server.configuration).request("GET", "/x")


def test_a_silent_stream_raises_silent_error() -> None:
    """The error comes after `read_timeout` seconds. The server may be healthy and have no events.

    The time is short only after the first event, because on a busy machine the answer may come late.
    """
    with serving(Answer(events=({"n": 1},))) as server:
        stream = Connection(server.configuration).stream("/x", read_timeout=30)
        objects = iter(stream)

        assert {"n": 1} == next(objects)
        connected = cast("HTTPConnection", stream._response.connection).sock
        assert connected
        assert 30 == connected.gettimeout()
        connected.settimeout(0.05)
        with pytest.raises(SilentError, match="timed out"):
            next(objects)


def test_another_thread_can_close_a_stream() -> None:
    """The iteration ends at once and without an error, although the server is silent."""
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


def test_a_refused_stream_raises_before_the_iteration() -> None:
    """The error has the message of the server."""
    with serving(Answer(410, status(410, "Expired", "too old"))) as server, pytest.raises(ApiError) as caught:
        Connection(server.configuration).stream("/x", read_timeout=10)

    assert 410 == caught.value.status
    assert "Expired" == caught.value.reason


def test_a_missing_kubeconfig_is_named(tmp_path: Path) -> None:
    """The file is checked first."""
    with pytest.raises(FileNotFoundError, match=f"the kubeconfig {tmp_path}/config does not exist"):
        connect(tmp_path / "config")


def test_an_unusable_kubeconfig_is_named(tmp_path: Path) -> None:
    """The message has the problem of the file."""
    path = tmp_path / "config"
    path.write_text("{apiVersion: v1, kind: Config, current-context: here}")

    with pytest.raises(ValueError, match=f"the kubeconfig {path} cannot be used: .*contexts"):
        connect(path)


def test_outside_a_pod_the_error_names_the_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no service account outside a pod, so the user must set --kubeconfig."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)

    with pytest.raises(ValueError, match=r"service account cannot be used: .* Outside a pod, set --kubeconfig"):
        connect(None)

# SPDX-License-Identifier: Apache-2.0
"""An HTTP server with the answers of a test, for faults that a real API server does not produce on request."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import Queue
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from oompolicy.kube.client import Configuration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


class Answer(NamedTuple):
    """One answer. `events` are sent one by one, and bytes as they are. The stream is open until `Server.finish`."""

    status: int = 200
    body: object = None
    headers: Mapping[str, str] = {}
    events: tuple[object, ...] | None = None


class Asked(NamedTuple):
    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: bytes


class Server:
    """A server that sends its `answers` one after the other, or the result of `by` for each request."""

    def __init__(self, by: Callable[[Asked], Answer] | None = None) -> None:
        self.answers: Queue[Answer] = Queue()
        self.by = by or (lambda _: self.answers.get_nowait())
        self.asked: list[Asked] = []
        self.finish = threading.Event()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), _handler_of(self))
        self._http.daemon_threads = True
        self.thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def configuration(self, token: str = "") -> Configuration:
        configuration = Configuration(host=self.url)
        if token:
            configuration.api_key["BearerToken"] = f"Bearer {token}"
        return configuration

    def stop(self) -> None:
        self.finish.set()
        self._http.shutdown()
        self.thread.join()
        self._http.server_close()


@contextmanager
def serving(*answers: Answer, by: Callable[[Asked], Answer] | None = None) -> Iterator[Server]:
    server = Server(by)
    for answer in answers:
        server.answers.put(answer)
    server.thread.start()
    try:
        yield server
    finally:
        server.stop()


def status(code: int, reason: str, message: str, **details: object) -> dict[str, Any]:
    return {"kind": "Status", "code": code, "reason": reason, "message": message, "details": details}


def _handler_of(server: Server) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            asked = Asked(self.command, url.path, dict(parse_qsl(url.query)), dict(self.headers.items()), body)
            server.asked.append(asked)
            answer = server.by(asked)
            if answer.events is None:
                self._whole(answer)
            else:
                self._stream(answer.events)

        do_PATCH = do_POST = do_PUT = do_GET  # noqa: N815 - http.server's names

        def _whole(self, answer: Answer) -> None:
            data = answer.body if isinstance(answer.body, bytes) else json.dumps(answer.body).encode()
            self.send_response(answer.status)
            for name, value in {**answer.headers, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def _stream(self, events: tuple[object, ...]) -> None:
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for event in events:
                data = (event if isinstance(event, bytes) else json.dumps(event).encode()) + b"\n"
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            server.finish.wait()
            self.wfile.write(b"0\r\n\r\n")

        def log_message(self, *args: object) -> None:
            pass

    return Handler

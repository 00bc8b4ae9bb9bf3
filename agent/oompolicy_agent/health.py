# SPDX-License-Identifier: Apache-2.0
"""Serves a few pages, /readyz among them, from a thread. Imported only with `--listen`: http.server costs memory."""

from __future__ import annotations

import socket
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer
from threading import Thread
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_TIMEOUT: Final = 5.0
"""Seconds for one request: they are answered one after the other."""


class Answer(NamedTuple):
    """To one request."""

    body: bytes
    status: int = 200
    content_type: str = "text/plain; charset=utf-8"


class _Server(TCPServer):
    """Not HTTPServer, which asks DNS for its own name when it binds."""

    allow_reuse_address = True
    pages: Mapping[str, Callable[[], Answer]]


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _TIMEOUT

    def do_GET(self) -> None:
        page = self.server.pages.get(self.path.partition("?")[0])
        answer = page() if page else Answer(b"not found\n", 404)
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (http.server's name)
        """Probes come every few seconds and are not worth a line."""


def probe(reasons: Callable[[], tuple[str, ...]]) -> Callable[[], Answer]:
    """A page that says why not, in sentences, or ok."""

    def page() -> Answer:
        found = reasons()
        text = "\n".join(found) or "ok"
        return Answer(f"{text}\n".encode(), 503 if found else 200)

    return page


def serve(address: tuple[str, int], pages: Mapping[str, Callable[[], Answer]]) -> TCPServer:
    """Start to serve `pages` by their paths. OSError: address in use."""
    server = (_Server6 if ":" in address[0] else _Server)(address, _Handler)
    server.pages = pages
    Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server

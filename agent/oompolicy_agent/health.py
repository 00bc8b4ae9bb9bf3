# SPDX-License-Identifier: Apache-2.0
"""Serves /readyz and /livez from a thread. Imported only with `--listen`: http.server costs memory."""

from __future__ import annotations

import socket
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer
from threading import Thread
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_TIMEOUT: Final = 5.0
"""Seconds for one request: they are answered one after the other."""


class _Server(TCPServer):
    """Not HTTPServer, which asks DNS for its own name when it binds."""

    allow_reuse_address = True
    probes: dict[str, Callable[[], tuple[str, ...]]]


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = _TIMEOUT

    def do_GET(self) -> None:
        probe = self.server.probes.get(self.path.partition("?")[0])
        if probe is None:
            self._answer(404, "not found")
            return
        reasons = probe()
        self._answer(503 if reasons else 200, "\n".join(reasons) or "ok")

    def _answer(self, status: int, text: str) -> None:
        body = f"{text}\n".encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (http.server's name)
        """Probes come every few seconds and are not worth a line."""


def serve(address: tuple[str, int], probes: dict[str, Callable[[], tuple[str, ...]]]) -> TCPServer:
    """Start to serve. A probe gives the reasons why not, in sentences; none means yes. OSError: address in use."""
    server = (_Server6 if ":" in address[0] else _Server)(address, _Handler)
    server.probes = probes
    Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server

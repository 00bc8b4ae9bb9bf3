# SPDX-License-Identifier: Apache-2.0
"""Serves /livez, /readyz and /metrics from threads."""

from __future__ import annotations

import socket
from socketserver import TCPServer, ThreadingMixIn
from threading import Thread
from typing import TYPE_CHECKING, Final
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

    Probe = Callable[[], tuple[str, ...]]

_TIMEOUT: Final = 5.0
"""Seconds for one request."""


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self) -> None:
        """Without what HTTPServer does: it asks DNS for its own name."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.socket.getsockname()[:2]
        self.setup_environ()


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    timeout = _TIMEOUT

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (http.server's name)
        """Probes come every few seconds and are not worth a line."""


def serve(address: tuple[str, int], registry: CollectorRegistry, probes: dict[str, Probe]) -> WSGIServer:
    """Start to serve. A probe gives the reasons why not, in sentences; none means yes. OSError: address in use."""
    metrics: WSGIApplication = make_wsgi_app(registry)

    def answer(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        if path == "/metrics":
            return metrics(environ, start)
        probe = probes.get(path)
        reasons = probe() if probe else ("not found",)
        status = "404 Not Found" if probe is None else "503 Service Unavailable" if reasons else "200 OK"
        start(status, [("Content-Type", "text/plain; charset=utf-8")])
        return [("\n".join(reasons or ("ok",)) + "\n").encode()]

    server = (_Server6 if ":" in address[0] else _Server)(address, _Handler)
    server.set_app(answer)
    Thread(target=server.serve_forever, name="serve", daemon=True).start()
    return server

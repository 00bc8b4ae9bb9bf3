# SPDX-License-Identifier: Apache-2.0
"""The API server's connection to kubelets and pods in a guest, which only its forwarded ports can reach.

The API server asks a proxy on a Unix socket (an egress selector, with HTTP's CONNECT). This proxy relays all bytes to
the guest, where another proxy connects. Both ends use this module.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CHUNK: Final = 65536
PORT: Final = 8132
"""The port on which the guest's end listens."""


def egress(path: Path) -> dict[str, Any]:
    """Return an API server's egress selector configuration."""
    connection = {"proxyProtocol": "HTTPConnect", "transport": {"uds": {"udsName": str(path)}}}
    return {
        "apiVersion": "apiserver.k8s.io/v1beta1",
        "kind": "EgressSelectorConfiguration",
        "egressSelections": [{"name": "cluster", "connection": connection}],
    }


def listen_for_api(path: Path, port: int) -> socket.socket:
    """Relay the API server's bytes on a Unix socket to the guest's forwarded port, until the socket is closed."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    serve(listener, lambda _: socket.create_connection(("127.0.0.1", port)))
    return listener


def listen_in_guest(address: str, port: int = PORT) -> socket.socket:
    """Connect each caller to the address that it requests."""
    listener = socket.create_server((address, port))
    serve(listener, connect_as_requested)
    return listener


def serve(listener: socket.socket, dial: Callable[[socket.socket], socket.socket]) -> None:
    """Join each connection with the one that `dial` makes for it."""
    threading.Thread(target=accept, args=(listener, dial), daemon=True).start()


def accept(listener: socket.socket, dial: Callable[[socket.socket], socket.socket]) -> None:
    """Accept connections until the listener is closed."""
    with contextlib.suppress(OSError):
        while True:
            caller, _ = listener.accept()
            threading.Thread(target=join, args=(caller, dial), daemon=True).start()


def join(caller: socket.socket, dial: Callable[[socket.socket], socket.socket]) -> None:
    """Relay both directions until each one ends. Close the caller's connection if no server answers."""
    with contextlib.suppress(OSError), caller, dial(caller) as called:
        back = threading.Thread(target=pump, args=(called, caller), daemon=True)
        back.start()
        pump(caller, called)
        back.join()


def pump(source: socket.socket, target: socket.socket) -> None:
    """Relay one direction."""
    with contextlib.suppress(OSError):
        while chunk := source.recv(CHUNK):
            target.sendall(chunk)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def connect_as_requested(caller: socket.socket) -> socket.socket:
    """Read a CONNECT request, connect, and answer the request. OSError if the connection fails."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        # Read single bytes, because the bytes after the request are for the other side.
        head += caller.recv(1) or b"\r\n\r\n"
    host, _, port = head.split(b" ", 2)[1].decode().rpartition(":")
    called = socket.create_connection((host, int(port)))
    caller.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    return called

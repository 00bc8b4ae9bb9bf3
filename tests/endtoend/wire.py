# SPDX-License-Identifier: Apache-2.0
"""Messages between host and guest: one JSON object for each line. Both ends use this module.

A request is {"do": VERB, "with": {...}}. The answer is {"done": ...}, or {"failed": traceback}.
"""

from __future__ import annotations

import json
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping


class Wire:
    """One end of a connection. The Wire owns and closes it."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._reader = connection.makefile("rb")

    def send(self, message: Mapping[str, Any]) -> None:
        """Send a message. OSError if the other end is closed."""
        self._connection.sendall(json.dumps(message).encode() + b"\n")

    def receive(self, seconds: float | None = None) -> dict[str, Any] | None:
        """Return the next message, or None at the end. TimeoutError after `seconds` without a message."""
        self._connection.settimeout(seconds)
        line = self._reader.readline()
        return dict(json.loads(line)) if line.endswith(b"\n") else None

    def close(self) -> None:
        self._reader.close()
        self._connection.close()


def obey(wire: Wire, table: dict[str, Callable[..., Any]]) -> None:
    """Answer requests until the connection is closed."""
    while request := wire.receive():
        try:
            answer: dict[str, Any] = {"done": table[request["do"]](**request["with"])}
        except Exception:  # noqa: BLE001 (the outermost loop: the host shows every error)
            answer = {"failed": traceback.format_exc()}
        wire.send(answer)

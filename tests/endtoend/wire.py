# SPDX-License-Identifier: Apache-2.0
"""Messages between host and guest: one JSON object per line. Both ends use this.

A request is {"do": VERB, "with": {...}}; the answer is {"done": ...}, or {"failed": traceback}.
"""

from __future__ import annotations

import json
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping


class Wire:
    """One end of a connection, which it owns from now on."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._reader = connection.makefile("rb")

    def send(self, message: Mapping[str, Any]) -> None:
        """OSError where the other end is gone."""
        self._connection.sendall(json.dumps(message).encode() + b"\n")

    def receive(self, seconds: float | None = None) -> dict[str, Any] | None:
        """The next message, or None at the end; TimeoutError after so many seconds of silence."""
        self._connection.settimeout(seconds)
        line = self._reader.readline()
        return dict(json.loads(line)) if line.endswith(b"\n") else None

    def close(self) -> None:
        self._reader.close()
        self._connection.close()


def obey(wire: Wire, table: dict[str, Callable[..., Any]]) -> None:
    """Answer requests until there are no more."""
    while request := wire.receive():
        try:
            answer: dict[str, Any] = {"done": table[request["do"]](**request["with"])}
        except Exception:  # noqa: BLE001 (the outermost loop: whatever it is, the host shows it)
            answer = {"failed": traceback.format_exc()}
        wire.send(answer)

# SPDX-License-Identifier: Apache-2.0
"""The kubelet's end of a port-forward by WebSocket."""

from __future__ import annotations

import base64
import hashlib
import struct
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import socket

PORT: Final = 9809
DATA: Final = 0
ERROR: Final = 1
"""The second channel of the first port."""


def frame(channel: int, data: bytes) -> bytes:
    """Return a binary frame of a server."""
    payload = bytes([channel]) + data
    assert len(payload) < 126
    return bytes([0x82, len(payload)]) + payload


class Peer:
    """The server's end of one connection, after the request."""

    def __init__(self, connected: socket.socket) -> None:
        self.socket, self.head = connected, b""
        while not self.head.endswith(b"\r\n\r\n"):
            self.head += connected.recv(1)

    def header(self, name: str) -> str:
        lines = (line.partition(": ") for line in self.head.decode().split("\r\n"))
        return next(value for key, _, value in lines if key.lower() == name)

    def accept(self) -> None:
        """Agree on a WebSocket, and say which port each channel is for."""
        key = self.header("sec-websocket-key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1(key.encode(), usedforsecurity=False).digest()).decode()
        lines = ("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade")
        more = (f"Sec-WebSocket-Accept: {accept}", "Sec-WebSocket-Protocol: v4.channel.k8s.io", "", "")
        self.socket.sendall("\r\n".join((*lines, *more)).encode())
        for channel in (DATA, ERROR):
            self.socket.sendall(frame(channel, struct.pack("<H", PORT)))

    def received(self) -> bytes:
        """Return the data of the client's next frame, with its channel."""
        read = self.socket.makefile("rb").read
        _, length = read(2)
        size = length & 0x7F
        if size == 126:
            (size,) = struct.unpack("!H", read(2))
        mask, payload = read(4), read(size)
        return bytes(byte ^ mask[index % 4] for index, byte in enumerate(payload))

    def send(self, data: bytes) -> None:
        """Send data of the port in small messages, and the end."""
        parts = (data[at : at + 100] for at in range(0, len(data), 100))
        self.socket.sendall(b"".join(frame(DATA, part) for part in parts) + b"\x88\x00")

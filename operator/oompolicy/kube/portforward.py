# SPDX-License-Identifier: Apache-2.0
"""Send a request to a port of a pod through the API server, as `kubectl port-forward` does.

The API server checks the right to `pods/portforward` and asks the kubelet. The kubelet connects to the port on the
loopback of the pod, which no other pod can reach.

PortForward of the kubernetes client is not used, because it loses the end of an answer if the pod closes the connection
right after it. The protocol is small: each message begins with the number of a channel. Channel 0 has the data of the
port and channel 1 the error, and the first message of each has the number of the port.
"""

from __future__ import annotations

import http.client
import io
from typing import TYPE_CHECKING, Any, Final

from oompolicy.kube.client import ConfigException
from oompolicy.kube.errors import ApiError, UnreachableError, from_answer

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from oompolicy.kube.connection import Connection

_PATH: Final = "/api/v1/namespaces/{}/pods/{}/portforward?ports={}"
_DATA, _ERROR = 0, 1


def get(connection: Connection, namespace: str, pod: str, port: int, path: str, *, timeout: float) -> tuple[int, bytes]:
    """Return status and body of a GET request to a port of the pod. `timeout` is in seconds of silence.

    Raise ApiError if the server refuses, and UnreachableError with a sentence if server, kubelet or pod do not answer.
    """
    # The module takes a tenth of a second to load, and no other command needs it.
    from websocket import WebSocketException  # noqa: PLC0415

    websocket = _websocket(connection, _PATH.format(namespace, pod, port))
    try:
        websocket.settimeout(timeout)
        websocket.send_binary(bytes([_DATA]) + f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        answer = http.client.HTTPResponse(_Pipe(websocket))  # type: ignore[arg-type] # it needs nothing but makefile()
        answer.begin()
        return answer.status, answer.read()
    except (WebSocketException, OSError, http.client.HTTPException) as error:
        raise UnreachableError(f"no answer from port {port} of the pod: {error}") from error
    finally:
        websocket.shutdown()


class _Pipe:
    """The interface of a socket that HTTPResponse needs."""

    def __init__(self, websocket: Any) -> None:  # noqa: ANN401 - a class without types
        self._messages = _Messages(websocket)

    def makefile(self, _: str) -> io.BufferedReader:
        """Return the data of the port."""
        return io.BufferedReader(self._messages)


class _Messages(io.RawIOBase):
    """The data of the port. An error of the kubelet raises UnreachableError."""

    def __init__(self, websocket: Any) -> None:  # noqa: ANN401 - a class without types
        self._websocket = websocket
        self._begun = {_DATA: False, _ERROR: False}
        self._left = b""

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Buffer, /) -> int:
        """Read the rest of a message, or the next one. Return 0 at the end."""
        self._left = self._left or self._next()
        view = memoryview(buffer)
        size = min(len(view), len(self._left))
        view[:size], self._left = self._left[:size], self._left[size:]
        return size

    def _next(self) -> bytes:
        """Return the next data of the port, or nothing at the end."""
        from websocket import ABNF, WebSocketConnectionClosedException  # noqa: PLC0415

        while True:
            try:
                kind, message = self._websocket.recv_data()
            except WebSocketConnectionClosedException:
                return b""
            if kind == ABNF.OPCODE_CLOSE:
                return b""
            channel, data = message[0], message[1:]
            if not self._begun.get(channel, True):
                self._begun[channel] = True
            elif channel == _ERROR:
                raise UnreachableError(" ".join(data.decode(errors="replace").split()))
            elif data:
                return bytes(data)


def _websocket(connection: Connection, path: str) -> Any:  # noqa: ANN401 - a class without types
    from kubernetes.stream.ws_client import create_websocket, get_websocket_url  # noqa: PLC0415
    from websocket import WebSocketBadStatusException, WebSocketException  # noqa: PLC0415

    configuration = connection.configuration
    token = configuration.get_api_key_with_prefix("BearerToken")
    headers = {"authorization": token.strip()} if token else {}
    try:
        return create_websocket(configuration, get_websocket_url(configuration.host + path), headers)
    except WebSocketBadStatusException as error:
        raise _refused(error) from error
    except (WebSocketException, OSError, ConfigException) as error:
        raise UnreachableError(f"no answer from {configuration.host}: {error}") from error


def _refused(error: Any) -> ApiError:  # noqa: ANN401 - a class without types
    return from_answer(error.status_code, error.status_message, error.resp_headers or {}, error.resp_body or b"")

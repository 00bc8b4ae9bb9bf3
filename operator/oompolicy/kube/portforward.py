# SPDX-License-Identifier: Apache-2.0
"""Connect to a port of a pod through the API server, as `kubectl port-forward` does.

The API server checks the right to `pods/portforward` and asks the kubelet. The kubelet connects to the port on the
loopback of the pod, which no other pod can reach.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from oompolicy.kube.client import ConfigException
from oompolicy.kube.errors import ApiError, UnreachableError, from_answer

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from oompolicy.kube.connection import Connection

_PATH: Final = "/api/v1/namespaces/{}/pods/{}/portforward?ports={}"


@contextmanager
def forwarded(
    connection: Connection, namespace: str, pod: str, port: int, *, timeout: float
) -> Iterator[socket.socket]:
    """Yield a socket that is connected to a port of the pod. Its calls raise TimeoutError after `timeout` seconds.

    Raise ApiError if the server refuses, and UnreachableError if it does not answer. If the kubelet or the pod refuses,
    the socket ends without a byte, and the error of the block becomes an UnreachableError with the kubelet's sentence.
    """
    # The modules of this protocol take a tenth of a second to load, and no other command needs them.
    from kubernetes.stream.ws_client import PortForward  # noqa: PLC0415

    forward: Any = PortForward(_websocket(connection, _PATH.format(namespace, pod, port)), [port])
    try:
        local: socket.socket = forward.socket(port)
        local.settimeout(timeout)
        try:
            yield local
        except Exception as error:
            if said := forward.error(port):
                raise UnreachableError(" ".join(str(said).split())) from error
            raise
    finally:
        forward.close()


def _websocket(connection: Connection, path: str) -> Any:  # noqa: ANN401 - a class of the client
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
    body = error.resp_body or b""
    return from_answer(error.status_code, error.status_message, error.resp_headers or {}, body)

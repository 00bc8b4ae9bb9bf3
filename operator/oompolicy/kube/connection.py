# SPDX-License-Identifier: Apache-2.0
"""Requests to one API server. Several threads may use a connection at once."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlencode

import urllib3

from oompolicy.kube import client
from oompolicy.kube.errors import UnreachableError, from_answer
from oompolicy.kube.nesting import read_whole
from oompolicy.kube.page import Page
from oompolicy.kube.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_CONNECT: Final = 10.0
"""Seconds for a TCP connection and its TLS handshake."""
_NOTHING: Final[Mapping[str, str]] = {}


class _Session(NamedTuple):
    configuration: client.Configuration
    pool: urllib3.PoolManager


class _Request(NamedTuple):
    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes | None
    timeout: float
    """Seconds of silence, from the request to the answer and between two parts of the answer."""
    preload: bool


class Connection:
    """One API server, with the credentials for it."""

    def __init__(self, load: Callable[[], client.Configuration]) -> None:
        """Read credentials with `load`. It is called again when the server refuses them."""
        self._load = load
        self._session = _session(load())
        self._renewing = threading.Lock()

    @property
    def host(self) -> str:
        """The address of the server, as `https://host:port`."""
        return self._session.configuration.host

    @property
    def configuration(self) -> client.Configuration:
        """Host and credentials as they were last read."""
        return self._session.configuration

    def credentials(self) -> client.Configuration:
        """Read host and credentials again, for another client. Raise ConfigException or OSError if that fails."""
        return self._load()

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] = _NOTHING,
        body: object = None,
        content_type: str = "application/json",
        headers: Mapping[str, str] = _NOTHING,
        timeout: float = 10.0,
    ) -> dict[str, Any]:
        """Send a request and return the object in the answer. `timeout` is in seconds of silence.

        Raise ApiError if the server refuses, and UnreachableError if it does not answer.
        """
        data = None if body is None else json.dumps(body).encode()
        headers = {"Accept": "application/json", "Content-Type": content_type, **headers}
        response = self._send(_Request(method, _target(path, query), headers, data, timeout, preload=True))
        try:
            answer = read_whole(response.data)
        except ValueError as error:
            raise UnreachableError(f"{self.host} is not an API server: its answer is not JSON") from error
        if not isinstance(answer, dict):
            raise UnreachableError(f"{self.host} is not an API server: its answer is not a JSON object")
        return answer

    def page(
        self,
        path: str,
        *,
        query: Mapping[str, str] = _NOTHING,
        headers: Mapping[str, str] = _NOTHING,
        timeout: float,
    ) -> Page:
        """Request a list and return it. Its items are read one by one. `timeout` is in seconds of silence.

        Raise ApiError if the server refuses, and UnreachableError if it does not answer.
        """
        headers = {"Accept": "application/json", **headers}
        request = _Request("GET", _target(path, query), headers, None, timeout, preload=False)
        return Page(self._send(request), self.host)

    def stream(
        self,
        path: str,
        *,
        query: Mapping[str, str] = _NOTHING,
        headers: Mapping[str, str] = _NOTHING,
        read_timeout: float,
    ) -> Stream:
        """Request a watch and return its stream, which fails after `read_timeout` seconds of silence.

        Raise ApiError if the server refuses, and UnreachableError if it does not answer.
        """
        headers = {"Accept": "application/json", **headers}
        return Stream(self._send(_Request("GET", _target(path, query), headers, None, read_timeout, preload=False)))

    def _send(self, request: _Request) -> urllib3.BaseHTTPResponse:
        session = self._session
        response = self._try(session, request)
        if response.status == 401:
            # A token is replaced long before it expires, but this process may have been paused meanwhile.
            response.drain_conn()
            response = self._try(self._renewed(session), request)
        if response.status >= 300:
            raise from_answer(response.status, response.reason, response.headers, self._text(response))
        return response

    def _try(self, session: _Session, request: _Request) -> urllib3.BaseHTTPResponse:
        try:
            return session.pool.request(
                request.method,
                session.configuration.host + request.target,
                body=request.body,
                headers={**_credentials(session.configuration), **request.headers},
                timeout=urllib3.Timeout(connect=_CONNECT, read=request.timeout),
                retries=False,
                preload_content=request.preload,
            )
        except (urllib3.exceptions.HTTPError, OSError, client.ConfigException) as error:
            raise self._unreachable(error) from error

    def _renewed(self, refused: _Session) -> _Session:
        with self._renewing:
            # If several threads are refused at the same time, the first one renews for all.
            if self._session is refused:
                try:
                    self._session = _session(self._load())
                except (OSError, client.ConfigException) as error:
                    raise self._unreachable(error) from error
            return self._session

    def _text(self, response: urllib3.BaseHTTPResponse) -> bytes:
        try:
            return response.data
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> UnreachableError:
        return UnreachableError(f"no answer from {self.host}: {error.__cause__ or error}")


def connect(kubeconfig: Path | None, context: str | None = None) -> Connection:
    """Connect with a kubeconfig, or with `None` as this pod's service account.

    `kubeconfig` may be a list of files that exist, as in KUBECONFIG. `context` is one of its contexts, by default the
    current one. Raise FileNotFoundError or ValueError with a sentence if the credentials cannot be used.
    """
    if kubeconfig is not None and not all(Path(each).is_file() for each in str(kubeconfig).split(os.pathsep)):
        raise FileNotFoundError(f"the kubeconfig {kubeconfig} does not exist")
    try:
        if kubeconfig is None:
            return Connection(client.in_cluster)
        return Connection(lambda: client.from_kubeconfig(kubeconfig, context))
    except client.ConfigException as error:
        if kubeconfig is None:
            message = f"this pod's service account cannot be used: {error} Outside a pod, set --kubeconfig"
        else:
            message = f"the kubeconfig {kubeconfig} cannot be used: {error}"
        raise ValueError(message) from error


def namespace_of(kubeconfig: Path, context: str | None = None) -> str:
    """Return the namespace of a kubeconfig's context. Raise ValueError with a sentence if it cannot be read."""
    try:
        return client.namespace_of(kubeconfig, context)
    except client.ConfigException as error:
        raise ValueError(f"the kubeconfig {kubeconfig} cannot be used: {error}") from error


def apply(
    connection: Connection,
    path: str,
    body: Mapping[str, Any],
    *,
    manager: str,
    subresource: str = "",
    force: bool = False,
) -> dict[str, Any]:
    """Apply `body` on the server. `manager` then owns its fields, and no longer owns fields that `body` lacks.

    `force` takes fields from other managers. Without it, such a field is ApiError 409. Raise ApiError if the server
    refuses, and UnreachableError if it does not answer.
    """
    return connection.request(
        "PATCH",
        f"{path}/{subresource}" if subresource else path,
        query={"fieldManager": manager, "force": "true" if force else "false"},
        body=body,
        content_type="application/apply-patch+yaml",  # JSON is YAML
    )


def _session(configuration: client.Configuration) -> _Session:
    return _Session(configuration, client.RESTClientObject(configuration).pool_manager)


def _credentials(configuration: client.Configuration) -> dict[str, str]:
    """Return the Authorization header. The kubernetes client keeps every kind, even `Basic ...`, as `BearerToken`."""
    token = configuration.get_api_key_with_prefix("BearerToken")
    return {"Authorization": token.strip()} if token else {}


def _target(path: str, query: Mapping[str, str]) -> str:
    return f"{path}?{urlencode(query)}" if query else path

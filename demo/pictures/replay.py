# SPDX-License-Identifier: Apache-2.0
"""Connections that keep the answers of an API server, and that give them again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from oompolicy.kube.connection import Connection


class Recorder:
    """A connection that keeps each answer in `answers`."""

    def __init__(self, connection: Connection) -> None:
        self.answers: dict[str, Any] = {}
        self._connection = connection

    def request(self, method: str, path: str, **_: object) -> dict[str, Any]:
        """Ask the server for one object."""
        return self._kept(method, path, {})

    def page(self, path: str, *, query: Mapping[str, str], **_: object) -> dict[str, Any]:
        """Ask the server for a list."""
        return self._kept("GET", path, query)

    def _kept(self, method: str, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        found = self._connection.request(method, path, query=query)
        self.answers[_key(path, query)] = found
        return found


class Replay:
    """A connection that gives the answers of a recorder, and KeyError for another request."""

    def __init__(self, answers: Mapping[str, Any]) -> None:
        self._answers = answers

    def request(self, _: str, path: str, **__: object) -> dict[str, Any]:
        """Return one object."""
        return dict(self._answers[_key(path, {})])

    def page(self, path: str, *, query: Mapping[str, str], **_: object) -> dict[str, Any]:
        """Return a list."""
        return dict(self._answers[_key(path, query)])


def _key(path: str, query: Mapping[str, str]) -> str:
    return f"{path}?{urlencode(query)}" if query else path

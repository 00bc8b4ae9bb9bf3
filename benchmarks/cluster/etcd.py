# SPDX-License-Identifier: Apache-2.0
"""Writes objects directly into the API server's etcd, which is about ten times as fast as the API.

The objects have their status at once. The API server stores objects as protobuf, and also reads JSON: the first bytes
differ.
"""

from __future__ import annotations

import base64
import itertools
import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

BATCH: Final = 100
"""The objects of one transaction. etcd allows at most 128 operations and 1.5 MiB."""


class Etcd:
    """A client of etcd's JSON gateway."""

    def __init__(self, call: Callable[[str, Mapping[str, Any]], object]) -> None:
        """Use `call` for requests of the key-value service, by method and body. It raises an error if etcd refuses."""
        self._call = call

    def put(self, prefix: str, objects: Iterable[dict[str, Any]]) -> None:
        """Store objects below `/registry/<prefix>`."""
        puts = (put(prefix, each) for each in objects)
        while batch := list(itertools.islice(puts, BATCH)):
            self._call("txn", {"success": batch})


def put(prefix: str, raw: dict[str, Any]) -> dict[str, Any]:
    """Return the operation that stores one object."""
    metadata = raw["metadata"]
    key = "/".join(filter(None, ("/registry", prefix, metadata.get("namespace"), metadata["name"])))
    value = json.dumps(raw, separators=(",", ":"))
    return {"request_put": {"key": encoded(key), "value": encoded(value)}}


def encoded(text: str) -> str:
    """Return the text in base64, as the gateway expects it."""
    return base64.b64encode(text.encode()).decode()

# SPDX-License-Identifier: Apache-2.0
"""Puts objects where the API server keeps them, past the API: twenty times as fast, and with their status.

The API server stores what it writes as protobuf, and reads JSON as well: it tells them apart by the first bytes.
"""

from __future__ import annotations

import base64
import itertools
import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

BATCH: Final = 100
"""Objects per transaction: etcd takes at most 128 operations and 1.5 MiB."""


class Etcd:
    """An etcd by its JSON gateway."""

    def __init__(self, call: Callable[[str, Mapping[str, Any]], object]) -> None:
        """`call` makes a request of the key-value service: its method and its body. It raises where etcd refuses."""
        self._call = call

    def put(self, prefix: str, objects: Iterable[dict[str, Any]]) -> None:
        """Store objects below `/registry/<prefix>`."""
        puts = (put(prefix, each) for each in objects)
        while batch := list(itertools.islice(puts, BATCH)):
            self._call("txn", {"success": batch})


def put(prefix: str, raw: dict[str, Any]) -> dict[str, Any]:
    """The operation of one object."""
    metadata = raw["metadata"]
    key = "/".join(filter(None, ("/registry", prefix, metadata.get("namespace"), metadata["name"])))
    value = json.dumps(raw, separators=(",", ":"))
    return {"request_put": {"key": encoded(key), "value": encoded(value)}}


def encoded(text: str) -> str:
    """As the gateway wants it."""
    return base64.b64encode(text.encode()).decode()

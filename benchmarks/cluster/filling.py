# SPDX-License-Identifier: Apache-2.0
"""Fills a cluster up to a size, and waits until the API server serves all pods."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.cluster import objects
from benchmarks.cluster.objects import Size
from benchmarks.cluster.waiting import wait_until

if TYPE_CHECKING:
    from benchmarks.cluster.etcd import Etcd
    from oompolicy.kube.connection import Connection


class Filling:
    """The filling of one etcd so far."""

    def __init__(self, etcd: Etcd, connection: Connection) -> None:
        self._etcd, self._connection = etcd, connection
        self._size = Size(0)

    def grow_to(self, size: Size) -> None:
        """Add the objects up to `size`. The API server stores nodes as `minions`."""
        before, self._size = self._size, size
        self._etcd.put("namespaces", objects.namespaces(range(before.namespaces, size.namespaces)))
        self._etcd.put("minions", objects.nodes(range(before.nodes, size.nodes)))
        self._etcd.put("pods", objects.pods(range(before.pods, size.pods)))
        # A transaction gives all its objects one revision, which no API server does. The cache of the API server counts
        # as up to date from the first object of a revision on.
        wait_until("the API server serves all pods", lambda: served(self._connection, "/api/v1/pods") >= size.pods)


def served(connection: Connection, path: str) -> int:
    """Return the number of objects in a collection."""
    page = connection.request("GET", path, query={"limit": "1"}, timeout=120)
    return len(page["items"]) + int(page["metadata"].get("remainingItemCount", 0))

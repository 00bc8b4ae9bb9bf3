# SPDX-License-Identifier: Apache-2.0
"""Makes the cluster as big as wanted, and says when the API server serves it all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.cluster import objects
from benchmarks.cluster.objects import Size
from benchmarks.cluster.waiting import wait_until

if TYPE_CHECKING:
    from benchmarks.cluster.etcd import Etcd
    from oompolicy.kube.connection import Connection


class Filling:
    """What was put into one etcd so far."""

    def __init__(self, etcd: Etcd, connection: Connection) -> None:
        self._etcd, self._connection = etcd, connection
        self._size = Size(0)

    def grow_to(self, size: Size) -> None:
        """Add what is missing. Nodes are `minions` where the API server keeps them."""
        before, self._size = self._size, size
        self._etcd.put("namespaces", objects.namespaces(range(before.namespaces, size.namespaces)))
        self._etcd.put("minions", objects.nodes(range(before.nodes, size.nodes)))
        self._etcd.put("pods", objects.pods(range(before.pods, size.pods)))
        # A transaction gives all its objects one revision, which no API server does: at the first of them its cache
        # takes itself for up to date with the others.
        wait_until("the API server serves all pods", lambda: served(self._connection, "/api/v1/pods") >= size.pods)


def served(connection: Connection, path: str) -> int:
    """How many objects a collection has."""
    page = connection.request("GET", path, query={"limit": "1"}, timeout=120)
    return len(page["items"]) + int(page["metadata"].get("remainingItemCount", 0))

# SPDX-License-Identifier: Apache-2.0
"""Reserve TCP ports of this machine, so that a server that is stopped and started can use the same port."""

from __future__ import annotations

import contextlib
import fcntl
import socket
from typing import TYPE_CHECKING

from tests.cluster.errors import ServerError
from vmtest.cache import cache_dir

if TYPE_CHECKING:
    from collections.abc import Iterator

# These are below Linux's ephemeral ports (32768 and up), which the kernel gives to clients.
PORTS = range(21000, 22000)


@contextlib.contextmanager
def reserved_port() -> Iterator[int]:
    """Yield a port that no other cluster of this user takes before the block ends."""
    folder = cache_dir() / "ports"
    folder.mkdir(parents=True, exist_ok=True)
    for port in PORTS:
        with (folder / str(port)).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            if is_free(port):
                yield port
                return
    raise ServerError(f"all ports from {PORTS.start} to {PORTS.stop - 1} are taken")


def is_free(port: int) -> bool:
    """Return whether no server listens on the port."""
    with socket.socket() as probe:
        # Servers set this too. With it, a connection that was closed a moment ago does not matter.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True

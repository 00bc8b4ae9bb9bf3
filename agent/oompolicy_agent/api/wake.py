# SPDX-License-Identifier: Apache-2.0
"""Lets other threads wake the loop."""

from __future__ import annotations

import os
from threading import Lock


class Wake:
    """An eventfd: readable from `set` until `take`."""

    def __init__(self) -> None:
        """OSError (EMFILE) where there is no descriptor left."""
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._lock = Lock()
        self._open = True

    def set(self) -> None:
        """From any thread, also after `close`: threads end later than what they work for."""
        with self._lock:
            if self._open:
                os.eventfd_write(self.fd, 1)

    def take(self) -> bool:
        """Whether it was set since the last call."""
        try:
            return os.eventfd_read(self.fd) > 0
        except BlockingIOError:
            return False

    def close(self) -> None:
        """Close the descriptor."""
        with self._lock:
            self._open = False
            os.close(self.fd)

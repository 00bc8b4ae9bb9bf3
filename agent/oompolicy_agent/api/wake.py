# SPDX-License-Identifier: Apache-2.0
"""Lets other threads wake the loop."""

from __future__ import annotations

import os
from threading import Lock


class Wake:
    """An eventfd that is readable from `set` until `take`."""

    def __init__(self) -> None:
        """Open the descriptor. Raise OSError (EMFILE) if the process has no descriptor left."""
        self.fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._lock = Lock()
        self._open = True

    def set(self) -> None:
        """Wake the loop. Any thread may call this, even after `close`, because threads can outlive the loop."""
        with self._lock:
            if self._open:
                os.eventfd_write(self.fd, 1)

    def take(self) -> bool:
        """Return True if it was set since the last call."""
        try:
            return os.eventfd_read(self.fd) > 0
        except BlockingIOError:
            return False

    def close(self) -> None:
        """Close the descriptor."""
        with self._lock:
            self._open = False
            os.close(self.fd)

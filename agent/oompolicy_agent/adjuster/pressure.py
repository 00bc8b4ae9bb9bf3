# SPDX-License-Identifier: Apache-2.0
"""Wake up when processes wait for memory (Documentation/accounting/psi.rst)."""

from __future__ import annotations

import os
import select
from pathlib import Path
from typing import Final

PRESSURE: Final = Path("/proc/pressure/memory")
# In microseconds: 50 ms of waiting in any window of a second.
_TRIGGER: Final = b"some 50000 1000000\0"


class PressureWatch:
    """A trigger of the kernel. Wait until `fd` is readable, then call `acknowledge`.

    OSError if the kernel has no pressure information, or refuses the trigger.
    """

    def __init__(self, path: Path = PRESSURE) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            os.write(self._file, _TRIGGER)
        except OSError:
            os.close(self._file)
            raise
        # The kernel reports EPOLLPRI. An epoll instance with such an event is readable itself.
        self._epoll = select.epoll()
        self._epoll.register(self._file, select.EPOLLPRI)
        self.fd = self._epoll.fileno()

    def acknowledge(self) -> None:
        """Take the event, so that the next one wakes up again."""
        self._epoll.poll(0)

    def close(self) -> None:
        """End the trigger."""
        self._epoll.close()
        os.close(self._file)

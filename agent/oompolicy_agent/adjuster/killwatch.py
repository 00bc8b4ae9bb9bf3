# SPDX-License-Identifier: Apache-2.0
"""Wake up when the OOM killer may have killed a process of a pod.

The kernel reports a change of memory.events in every cgroup above the process (admin-guide/cgroup-v2.rst). It also
reports a limit that is reached without a kill, up to 100 times a second.
"""

from __future__ import annotations

import os
import select
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_SIZE: Final = 512


class KillWatch:
    """The watch of some cgroups. Wait until `fd` is readable, then call `acknowledge`."""

    def __init__(self) -> None:
        # The kernel reports EPOLLPRI. An epoll instance with such an event is readable itself.
        self._epoll = select.epoll()
        self._files: dict[str, int] = {}
        self.fd = self._epoll.fileno()

    def watch(self, cgroups: Iterable[str]) -> None:
        """Watch these cgroups and no others. A cgroup without the file is left out."""
        wanted = set(cgroups)
        for path in self._files.keys() - wanted:
            os.close(self._files.pop(path))
        for path in wanted - self._files.keys():
            with suppress(OSError):
                self._files[path] = self._open(path)

    def _open(self, path: str) -> int:
        file = os.open(f"{path}/memory.events", os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._epoll.register(file, select.EPOLLPRI)
            os.pread(file, _SIZE, 0)  # a file that was not read yet counts as changed
        except OSError:
            os.close(file)
            raise
        return file

    def acknowledge(self) -> None:
        """Take the events, so that the next one wakes up again."""
        for path, file in list(self._files.items()):
            try:
                os.pread(file, _SIZE, 0)
            except OSError:  # the cgroup was removed
                os.close(self._files.pop(path))

    def close(self) -> None:
        """End the watch."""
        self.watch(())
        self._epoll.close()

# SPDX-License-Identifier: Apache-2.0
"""Count the lost victims, also across restarts and on a full disk.

The file always has the same size and is written in place, which needs no new block of the disk.
"""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)


class Losses:
    """The numbers of lost victims: `dropped` are lost, and `held` more would be if the process ended now."""

    def __init__(self, path: Path) -> None:
        """Take over the losses of an earlier agent, including the victims that it held when it ended."""
        self._path = path
        self.dropped = sum(_read(path))
        self.held = 0
        self.problem: str | None = None
        self._saved: tuple[int, int] | None = None
        self.save()

    def save(self) -> None:
        """Write both numbers if they changed. `problem` is the error while the disk does not accept them, or None."""
        numbers = self.dropped, self.held
        if numbers == self._saved and not self.problem:
            return
        try:
            _write(self._path, f"{self.dropped:019} {self.held:019}\n".encode())
        except OSError as error:
            self.problem = str(error)
            return
        self._saved, self.problem = numbers, None


def _read(path: Path) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in path.read_bytes().split()[:2])
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        log.warning("%s cannot be read, so victims that were lost before are not counted: %s", path, error)
        return ()


def _write(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.pwrite(fd, data, 0)
        os.fsync(fd)
    finally:
        os.close(fd)

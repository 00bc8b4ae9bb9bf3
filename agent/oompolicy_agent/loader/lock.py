# SPDX-License-Identifier: Apache-2.0
"""The lock that lets one loader run at a time.

The lock is on the folder of pins, which belongs to root and which no other user can open. In a folder of the agent the
agent's user could hold the lock for ever, or put a folder in the place of the lock's file.
"""

from __future__ import annotations

import fcntl
import logging
import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from oompolicy_agent.loader.errors import LoaderError
from oompolicy_agent.loader.pinfolder import FOLDER_MODE
from oompolicy_agent.loader.wait import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE = 120.0
"""Seconds to wait for another loader. A load takes about one second, and on a crowded node many."""

log = logging.getLogger(__name__)


@contextmanager
def exclusive(folder: Path, patience: float = PATIENCE) -> Iterator[None]:
    """Hold the lock on `folder`, which is made if it does not exist. LoaderError if another loader holds it too long.

    A loader that can neither make nor open the folder can pin nothing in it, and runs on without the lock to report the
    reason: no BPF file system, or no right to write there.
    """
    held: list[int] = []
    try:
        taken = until(lambda: _take(folder, held), patience)
    except OSError as error:
        log.debug("%s cannot be locked: %s", folder, error.strerror)
        taken = True
    if not taken:
        raise LoaderError(
            f"another loader is still running: it has locked {folder} for {patience:.0f} s; wait until it ends"
        )
    try:
        yield
    finally:
        for fd in held:
            os.close(fd)


def _take(folder: Path, held: list[int]) -> bool:
    folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    # A container runtime may have made the folder, and others can open it then.
    if stat.S_IMODE(folder.stat().st_mode) != FOLDER_MODE:
        folder.chmod(FOLDER_MODE)
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # `detach` removes the folder, and a lock on a removed folder has no effect on the next loader.
        if os.path.samestat(os.fstat(fd), folder.stat()):
            os.set_inheritable(fd, True)
            held.append(fd)
            return True
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(fd)
    return False

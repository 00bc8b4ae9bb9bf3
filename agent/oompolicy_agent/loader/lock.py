# SPDX-License-Identifier: Apache-2.0
"""One loader at a time."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from oompolicy_agent.loader.errors import LoaderError
from oompolicy_agent.loader.wait import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PATIENCE = 120.0
"""Seconds to wait for another loader. A load takes about one; a crowded node may need many."""


@contextmanager
def exclusive(path: Path, patience: float = PATIENCE) -> Iterator[None]:
    """Hold the lock file. LoaderError if another loader does not end in time."""
    held: list[int] = []
    if not until(lambda: _take(path, held), patience):
        raise LoaderError(f"another loader is at work: it has held {path} for {patience:.0f} s")
    try:
        yield
    finally:
        os.close(held[0])


def _take(path: Path, held: list[int]) -> bool:
    # The folder may be the agent's: its symbolic link must not make us open another file.
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # `detach` removes the file: a lock on what was removed keeps nobody out.
        if os.path.samestat(os.fstat(fd), path.stat()):
            os.set_inheritable(fd, True)
            held.append(fd)
            return True
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(fd)
    return False

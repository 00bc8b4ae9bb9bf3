# SPDX-License-Identifier: Apache-2.0
"""Reads files out of the agent's folders, which nobody privileged should trust: no links, no pipes, no end of data."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def read(path: Path, limit: int) -> bytes | None:
    """The content, or None where there is no regular file of at most `limit` bytes. OSError if it is closed to us."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with open(fd, "rb") as file:  # noqa: PTH123 (a descriptor)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            return None
        content = file.read(limit + 1)
        return content if len(content) <= limit else None

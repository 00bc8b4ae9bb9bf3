# SPDX-License-Identifier: Apache-2.0
"""Write files so that a reader, or the next boot, finds the old content or the new, and never a part.

Read files of the kernel with little work, because some are read hundreds of times in each look of the adjuster.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path


_PART: Final = 65_536
"""The size of a read. The kernel returns at most this much of most files, and a page of some."""


def content(path: str | Path, folder: int | None = None) -> bytes:
    """Return the content of a file. A relative path begins in `folder`, which is a descriptor."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
    try:
        found = part = os.read(fd, _PART)
        while part:
            part = os.read(fd, _PART)
            found += part
    finally:
        os.close(fd)
    return found


def write_atomic(path: Path, data: bytes, *, durable: bool = True, mode: int = 0o600) -> None:
    """Replace `path`. If `durable` is true, the file is on the disk under its name when this returns."""
    temporary = path.with_name(f".{path.name}.tmp")
    write_synced(temporary, data, durable=durable, mode=mode)
    temporary.replace(path)
    if durable:
        sync_folder(path.parent)


def write_synced(path: Path, data: bytes, *, durable: bool = True, mode: int = 0o600) -> None:
    """Write and sync a file, replacing its content."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode), "wb") as file:  # noqa: PTH123
        file.write(data)
        file.flush()
        if durable:
            os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Make the renames in `folder` durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)

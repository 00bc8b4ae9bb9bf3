# SPDX-License-Identifier: Apache-2.0
"""Reads and replaces files in folders of the agent's user, which a privileged process must not trust.

An attacker who has taken over the agent can put links, pipes, folders or endless data in the place of a file. None of
these may make the loader fail, because then it would still fail after the agent is gone.
"""

from __future__ import annotations

import logging
import os
import secrets
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

log = logging.getLogger(__name__)


def read(path: Path, limit: int) -> bytes | None:
    """Return the content, or None if there is no regular file of at most `limit` bytes. OSError if reading fails."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or found.st_size > limit:
        os.close(fd)
        log.warning("%s is not used: it is no regular file of at most %d bytes", path, limit)
        return None
    with open(fd, "rb") as file:  # noqa: PTH123 (a descriptor)
        # The file may have grown since.
        content = file.read(limit + 1)
        return content if len(content) <= limit else None


def write(path: Path, text: str) -> None:
    """Replace the file or folder at `path`. The new file belongs to root and everybody can read it. OSError."""
    # Nobody can guess the name before the file exists, and O_EXCL follows no link.
    temporary = _beside(path)
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        with open(fd, "w", encoding="utf-8") as file:  # noqa: PTH123 (a descriptor)
            os.fchmod(fd, 0o644)
            file.write(text)
        _put(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def clear(path: Path) -> None:
    """Remove the file at `path`. A folder is moved aside instead, because its content may be endless."""
    try:
        path.unlink(missing_ok=True)
    except IsADirectoryError:
        _set_aside(path)


def _put(temporary: Path, path: Path) -> None:
    try:
        temporary.replace(path)
    except IsADirectoryError:
        _set_aside(path)
        temporary.replace(path)


def _set_aside(folder: Path) -> None:
    aside = _beside(folder)
    folder.rename(aside)
    log.warning("%s was a folder, which neither loader nor agent makes: it is now %s", folder, aside)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}")

# SPDX-License-Identifier: Apache-2.0
"""Gives the agent's user what is the agent's: the maps, its state folder, its run folder. Links stay root's."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def give_maps(folder: Path, uid: int, gid: int) -> None:
    """All pins of `folder`, so that no other user opens them."""
    for pin in folder.iterdir():
        _give(pin, uid, gid, 0o600)


def give_folder(folder: Path, uid: int, gid: int, mode: int) -> None:
    """Make `folder` if need be. What is in it goes with it, if an older loader gave it to another user before."""
    folder.mkdir(mode=mode, parents=True, exist_ok=True)
    before = folder.stat(follow_symlinks=False).st_uid
    if before not in (uid, os.geteuid()):
        _give_content(folder, before, uid, gid)
    _give(folder, uid, gid, mode)


def _give_content(folder: Path, before: int, uid: int, gid: int) -> None:
    """Only files and folders of user `before`, and of these no second name of a file that is elsewhere."""
    for _, folders, files, parent in os.fwalk(folder, topdown=False):
        for name in (*folders, *files):
            try:
                # Held open, so that what is given away is what was looked at.
                fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
            except OSError:
                continue  # a link, or a socket: none of the agent's
            try:
                found = os.fstat(fd)
                single = stat.S_ISREG(found.st_mode) and found.st_nlink == 1
                if found.st_uid == before and (single or stat.S_ISDIR(found.st_mode)):
                    os.fchown(fd, uid, gid)
            finally:
                os.close(fd)


def _give(path: Path, uid: int, gid: int, mode: int) -> None:
    """Change only what differs: an agent that runs as its own loader may have no right to change anything."""
    found = path.stat(follow_symlinks=False)
    if stat.S_IMODE(found.st_mode) != mode:
        # The loader has CAP_CHOWN and not CAP_FOWNER, so it can change the mode of its own files only. The agent may
        # change that of the agent's.
        if found.st_uid != os.geteuid():
            os.chown(path, os.geteuid(), gid, follow_symlinks=False)
        path.chmod(mode)
        found = path.stat(follow_symlinks=False)
    if (found.st_uid, found.st_gid) != (uid, gid):
        os.chown(path, uid, gid, follow_symlinks=False)

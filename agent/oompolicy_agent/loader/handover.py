# SPDX-License-Identifier: Apache-2.0
"""Gives the agent's user the maps, the state folder and the run folder. The links stay root's."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def give_maps(folder: Path, uid: int, gid: int) -> None:
    """Give all pins in `folder` to the user, and let no other user open them."""
    for pin in folder.iterdir():
        _give(pin, uid, gid, 0o600)


def give_folder(folder: Path, uid: int, gid: int, mode: int) -> None:
    """Make `folder` if it does not exist, and give it to the user.

    If an older loader gave it to another user before, its content is given to the new user as well.
    """
    folder.mkdir(mode=mode, parents=True, exist_ok=True)
    before = folder.stat(follow_symlinks=False).st_uid
    if before not in (uid, os.geteuid()):
        _give_content(folder, before, uid, gid)
    _give(folder, uid, gid, mode)


def _give_content(folder: Path, before: int, uid: int, gid: int) -> None:
    """Give the files and folders of user `before` to the new user, except files with more than one hard link."""
    for _, folders, files, parent in os.fwalk(folder, topdown=False):
        for name in (*folders, *files):
            try:
                # Open from here to fchown, so that exactly the checked file is given away.
                fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
            except OSError:
                continue  # a symbolic link or a socket: the agent makes neither
            try:
                found = os.fstat(fd)
                single = stat.S_ISREG(found.st_mode) and found.st_nlink == 1
                if found.st_uid == before and (single or stat.S_ISDIR(found.st_mode)):
                    os.fchown(fd, uid, gid)
            finally:
                os.close(fd)


def _give(path: Path, uid: int, gid: int, mode: int) -> None:
    """Set owner and mode, each only if it differs: an agent that runs as its own loader may lack the right."""
    found = path.stat(follow_symlinks=False)
    if stat.S_IMODE(found.st_mode) != mode:
        # The loader has CAP_CHOWN without CAP_FOWNER, so it can change the mode of its own files only. It takes the
        # file first: the agent's user may have changed the mode.
        if found.st_uid != os.geteuid():
            os.chown(path, os.geteuid(), gid, follow_symlinks=False)
        path.chmod(mode)
        found = path.stat(follow_symlinks=False)
    if (found.st_uid, found.st_gid) != (uid, gid):
        os.chown(path, uid, gid, follow_symlinks=False)

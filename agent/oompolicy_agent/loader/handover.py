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
    """Make `folder` if need be."""
    folder.mkdir(mode=mode, parents=True, exist_ok=True)
    _give(folder, uid, gid, mode)


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

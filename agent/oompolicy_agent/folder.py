# SPDX-License-Identifier: Apache-2.0
"""Tells when a folder's content changed, also where the folder itself is replaced or comes later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from oompolicy_agent import inotify
from oompolicy_agent.inotify import Inotify

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

# No IN_MODIFY: a file counts when its writer has closed it. IN_CREATE is for links, which nobody writes.
_CONTENT: Final = (
    inotify.CLOSE_WRITE | inotify.MOVED_TO | inotify.MOVED_FROM | inotify.CREATE | inotify.DELETE
    | inotify.DELETE_SELF | inotify.MOVE_SELF | inotify.ONLYDIR
)  # fmt: skip
_PARENT: Final = inotify.CREATE | inotify.MOVED_TO | inotify.MOVED_FROM | inotify.DELETE | inotify.ONLYDIR
_GONE: Final = inotify.DELETE_SELF | inotify.MOVE_SELF | inotify.UNMOUNT | inotify.IGNORED


class FolderWatch:
    """One folder and, for its replacement, its parent. Wait for `fd`, then call `changed`."""

    def __init__(self, folder: Path, only: str | None = None) -> None:
        """Begin to watch; the folder may be absent. With `only`, other names in it do not count."""
        self._folder, self._only = folder, only
        self._inotify = Inotify()
        self.fd = self._inotify.fd
        self._content = self._parent = -1
        self.renew()

    @property
    def complete(self) -> bool:
        """False while the folder is not watched, and `renew` should be tried from time to time."""
        return self._content >= 0

    def renew(self) -> None:
        """Watch what is at the path now."""
        old, self._content = self._content, self._add(self._folder, _CONTENT)
        if old not in (-1, self._content):
            self._inotify.remove(old)
        self._parent = self._add(self._folder.absolute().parent, _PARENT)

    def changed(self) -> bool:
        """Whether anything happened that may change what the folder says. Reads all that is queued."""
        found = False
        while changes := self._inotify.read():
            found = self._judge(changes) or found
        return found

    def close(self) -> None:
        """End the watch."""
        self._inotify.close()

    def _judge(self, changes: Iterable[inotify.Change]) -> bool:
        relevant = [change for change in changes if self._relevant(change)]
        replaced = any(change.wd == self._parent or change.mask & (_GONE | inotify.Q_OVERFLOW) for change in relevant)
        if replaced:
            self.renew()
        return bool(relevant)

    def _relevant(self, change: inotify.Change) -> bool:
        if change.mask & inotify.Q_OVERFLOW:
            return True
        if change.wd == self._content:
            if change.name and self._only not in (None, change.name):
                return False
            return not change.mask & inotify.CREATE or self._is_link(change.name)
        return change.wd == self._parent and change.name == self._folder.name

    def _is_link(self, name: str) -> bool:
        path = self._folder / name
        try:
            return path.is_symlink() or path.lstat().st_nlink > 1
        except FileNotFoundError:
            return True

    def _add(self, path: Path, mask: int) -> int:
        try:
            return self._inotify.add(path, mask)
        except OSError:
            return -1

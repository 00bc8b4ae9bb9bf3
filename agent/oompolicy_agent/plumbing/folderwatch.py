# SPDX-License-Identifier: Apache-2.0
"""Report changes of a folder's content, also if the folder itself is replaced or created later.

The kernel limits inotify instances and watches per user, over all containers of the node. If other containers have used
them up, no change is reported, and the caller has to check the folder from time to time.
"""

from __future__ import annotations

import errno
import select
from typing import TYPE_CHECKING, Final

from oompolicy_agent.plumbing import inotify
from oompolicy_agent.plumbing.inotify import Inotify

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

# No IN_MODIFY: a file counts when its writer has closed it. IN_CREATE is for links, which no program opens for writing.
_CONTENT: Final = (
    inotify.CLOSE_WRITE | inotify.MOVED_TO | inotify.MOVED_FROM | inotify.CREATE | inotify.DELETE
    | inotify.DELETE_SELF | inotify.MOVE_SELF | inotify.ONLYDIR
)  # fmt: skip
_PARENT: Final = inotify.CREATE | inotify.MOVED_TO | inotify.MOVED_FROM | inotify.DELETE | inotify.ONLYDIR
_GONE: Final = inotify.DELETE_SELF | inotify.MOVE_SELF | inotify.UNMOUNT | inotify.IGNORED


_USED_UP: Final = {errno.EMFILE: "fs.inotify.max_user_instances", errno.ENOSPC: "fs.inotify.max_user_watches"}
"""The sysctl that limits the resource of each error: inotify_init(2), inotify_add_watch(2)."""


class FolderWatch:
    """The watch of one folder and, for its replacement, of its parent. Wait for `fd`, then call `changed`.

    `problem` is a sentence while no change is reported, or None.
    """

    def __init__(self, folder: Path, only: str | None = None) -> None:
        """Begin to watch the folder, which may be absent. With `only`, other names in it do not count."""
        self._folder, self._only = folder, only
        # Of an epoll instance, which stays the same when inotify's comes later.
        self._epoll = select.epoll()
        self.fd = self._epoll.fileno()
        self._inotify: Inotify | None = None
        self._content = self._parent = -1
        self.problem: str | None = None
        self.renew()

    @property
    def complete(self) -> bool:
        """False while the folder is not watched, and `renew` should be tried from time to time."""
        return self._content >= 0

    def renew(self) -> None:
        """Watch the folder that is at the path now."""
        self.problem = None
        if self._inotify is None and not self._open():
            return
        old, self._content = self._content, self._add(self._folder, _CONTENT)
        if self._inotify and old not in (-1, self._content):
            self._inotify.remove(old)
        self._parent = self._add(self._folder.absolute().parent, _PARENT)

    def changed(self) -> bool:
        """Read all queued events. Return True if the content of the folder may have changed."""
        found = False
        while self._inotify and (changes := self._inotify.read()):
            found = self._judge(changes) or found
        return found

    def close(self) -> None:
        """End the watch."""
        self._epoll.close()
        if self._inotify:
            self._inotify.close()

    def _open(self) -> bool:
        try:
            self._inotify = Inotify()
        except OSError as error:
            self._fail(error)
            return False
        self._epoll.register(self._inotify.fd, select.EPOLLIN)
        return True

    def _fail(self, error: OSError) -> None:
        raised = f"; raise {_USED_UP[error.errno]}" if error.errno in _USED_UP else ""
        self.problem = f"changes of {self._folder} are seen late, at the next full check: {error}{raised}"

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
        """Return the number of the watch, or -1. Set a problem unless the folder only does not exist."""
        if self._inotify is None:
            return -1
        try:
            return self._inotify.add(path, mask)
        except (FileNotFoundError, NotADirectoryError):
            return -1
        except OSError as error:
            self._fail(error)
            return -1

# SPDX-License-Identifier: Apache-2.0
"""Walk through the cgroups of pods by descriptors, with their entries.

A container may create cgroups below its own, with paths that are too long for the kernel's calls, and as many as its
memory allows. So each folder is opened below the one above it, and the number of cgroups of one pod is limited.
"""

from __future__ import annotations

import errno
import os
from collections import Counter
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from oompolicy_agent.mapping.cgroups import parse_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MOST_CGROUPS: Final = 2048
"""The cgroups of one pod that are read. To read one takes about 20 µs, so these take 40 ms of a look.

A container with systemd has about a hundred, and a container that is a node with 110 pods about a thousand.
"""

_GONE: Final = {errno.ENOENT, errno.ENODEV}
_CHILDLESS: Final = 2
"""The links of a folder without folders: its name, and its own dot. The kernel counts so in its cgroup tree."""


class Cgroup(NamedTuple):
    """A cgroup of pods, with the priority of the nearest entry. `root` is the kubepods cgroup above it."""

    id: int
    root: str
    priority: int | None


@dataclass(slots=True)
class _Pod:
    """The name of a pod's cgroup, and the number of cgroups below it that may still be read. None is no limit."""

    name: str
    left: int | None


class _Folder(NamedTuple):
    """An open folder, the priority of its children, its pod if it is below one, and the names of unread children."""

    fd: int
    priority: int | None
    pod: _Pod | None
    names: list[str]


class CgroupWalk:
    """One walk. `errors` counts the cgroups of pods that could not be read, by the name of the error.

    `crowded` has the names of the pods' cgroups with more cgroups than may be read.
    """

    def __init__(self, entries: Mapping[int, int], most: int | None = MOST_CGROUPS) -> None:
        """`entries` maps cgroup ids to priorities. `most` is the largest number of cgroups of one pod, or None."""
        self.errors: Counter[str] = Counter()
        self.crowded: list[str] = []
        self._entries, self._most = entries, most

    @property
    def complete(self) -> bool:
        """True if all cgroups were read that did not vanish."""
        return not self.errors and not self.crowded

    def below(self, root: str) -> Iterator[tuple[Cgroup, int]]:
        """Yield a kubepods cgroup and all cgroups below it, each with a descriptor for the time until the next one.

        A cgroup that vanishes is left out. OSError if a cgroup above the pods cannot be read.
        """
        return self._walk(root, None)

    def of_pod(self, path: str) -> Iterator[tuple[Cgroup, int]]:
        """Yield a cgroup in a pod and all cgroups below it, as above."""
        return self._walk(path, _Pod(path, self._most))

    def _walk(self, root: str, pod: _Pod | None) -> Iterator[tuple[Cgroup, int]]:
        above: list[_Folder] = []
        try:
            name: str | None = root
            while name is not None:
                folder = self._open(name, above, pod)
                if folder:
                    above.append(folder)
                    found = os.fstat(folder.fd)
                    priority = self._entries.get(found.st_ino, folder.priority)
                    yield Cgroup(found.st_ino, root, priority), folder.fd
                    below = [] if found.st_nlink == _CHILDLESS else self._children(folder)
                    above[-1] = folder._replace(priority=priority, names=below)
                name = _next(above)
        finally:
            for each in above:
                os.close(each.fd)

    def _open(self, name: str, above: list[_Folder], pod: _Pod | None) -> _Folder | None:
        """Open a folder by its path, or by its name in the last of the folders above. None if it cannot be read."""
        fd, priority = None, None
        if above:
            fd, priority, pod = above[-1].fd, above[-1].priority, above[-1].pod
            if pod is None and not _is_slice(name):
                pod = _Pod(name, self._most)
        try:
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            return _Folder(os.open(name, flags, dir_fd=fd), priority, pod, [])
        except OSError as error:
            self._failed(error, pod)
            return None

    def _children(self, folder: _Folder) -> list[str]:
        """Return the names of the children that may be read."""
        pod = folder.pod
        try:
            with os.scandir(folder.fd) as entries:
                names = (entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
                if pod is None or pod.left is None:
                    return list(names)
                found = list(islice(names, pod.left + 1))
        except OSError as error:
            self._failed(error, pod)
            return []
        if len(found) > pod.left:
            if pod.name not in self.crowded:
                self.crowded.append(pod.name)
            found = found[: pod.left]
        pod.left -= len(found)
        return found

    def _failed(self, error: OSError, pod: _Pod | None) -> None:
        """Count an error below a pod, so that no pod can keep the others from being read."""
        if error.errno in _GONE:
            return
        if pod is None:
            raise error
        self.errors[errno.errorcode.get(error.errno or 0, str(error))] += 1


def _next(above: list[_Folder]) -> str | None:
    """Return the name of an unread child of the last folder, after closing those without one. None at the end."""
    while above and not above[-1].names:
        os.close(above.pop().fd)
    return above[-1].names.pop() if above else None


def _is_slice(name: str) -> bool:
    """Return True for the cgroup of a QoS class. Directly below kubepods, every other one is of a pod."""
    found = parse_name(name)
    return found is not None and found.kind == "qos"

# SPDX-License-Identifier: Apache-2.0
"""Read and write the memory.oom.group of cgroups. No other file of a cgroup is written by the adjuster.

A folder that was opened belongs to one cgroup. Its inode number is the id of the cgroup, so another cgroup that has the
same path by now is never read or written.
"""

from __future__ import annotations

import errno
import os
from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from oompolicy_agent.mapping.cgroups import CgroupDir

_FILE: Final = "memory.oom.group"


class OomGroups:
    """The files of this machine. `errors` counts the accesses that failed, by the name of the error.

    A cgroup that vanishes between two accesses is no error.
    """

    def __init__(self) -> None:
        self.errors: Counter[str] = Counter()

    def read(self, cgroup: CgroupDir) -> bool | None:
        """Return the value, or None if it cannot be read."""
        try:
            return _access(cgroup, os.O_RDONLY, None).strip() == b"1"
        except OSError as error:
            self._failed(cgroup, error)
            return None

    def write(self, cgroup: CgroupDir, value: bool, /) -> bool:
        """Write the value. Return True if it is in force now."""
        try:
            _access(cgroup, os.O_WRONLY, b"1" if value else b"0")
        except OSError as error:
            self._failed(cgroup, error)
            return False
        return True

    def _failed(self, cgroup: CgroupDir, error: OSError) -> None:
        if _exists(cgroup):
            self.errors[errno.errorcode.get(error.errno or 0, str(error))] += 1


def _access(cgroup: CgroupDir, flags: int, data: bytes | None) -> bytes:
    folder = os.open(cgroup.path, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        if os.fstat(folder).st_ino != cgroup.id:
            raise FileNotFoundError(errno.ENOENT, "the cgroup has vanished", cgroup.path)
        fd = os.open(_FILE, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
    finally:
        os.close(folder)
    try:
        if data is None:
            return os.read(fd, 16)
        os.write(fd, data)
        return data
    finally:
        os.close(fd)


def _exists(cgroup: CgroupDir) -> bool:
    try:
        return os.stat(cgroup.path).st_ino == cgroup.id  # noqa: PTH116 (as in mapping.cgroups)
    except OSError:
        return False

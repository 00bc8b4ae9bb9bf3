# SPDX-License-Identifier: Apache-2.0
"""The files of the node that the tool reads, and the one file that it writes: its own `oom_score_adj`."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

BTF: Final = Path("/sys/kernel/btf/vmlinux")
KALLSYMS: Final = Path("/proc/kallsyms")
DEBUG_MOUNT: Final = Path("/host")
"""The folder of the node's file system in a pod of `kubectl debug node/...`."""
PINS: Final = "sys/fs/bpf/oompolicy/maps"
PROTECTED: Final = -999
"""The kernel kills a task with this value only if no other task is left."""


def find_root() -> Path:
    """Return the root of the node's file system."""
    return DEBUG_MOUNT if (DEBUG_MOUNT / "sys/fs/cgroup").is_dir() else Path("/")


def protect_this_process(own: Path = Path("/proc/self/oom_score_adj")) -> str:
    """Make this process an unlikely victim. Return a sentence if the kernel refuses."""
    try:
        if int(own.read_text()) > PROTECTED:
            own.write_text(str(PROTECTED))
    except OSError as error:
        return f"this tool itself may be killed, because it cannot lower its oom_score_adj: {error.strerror}"
    return ""


def boot_offset_ns() -> int:
    """Return the difference between the time of day and the clock of the records."""
    return time.time_ns() - time.monotonic_ns()


class Cgroups:
    """The paths of cgroups by their ids. It reads the tree again for an id that it does not know."""

    def __init__(self, root: Path) -> None:
        tree = root / "sys/fs/cgroup"
        self._tree = tree if (tree / "cgroup.controllers").exists() else tree / "unified"
        self._paths: dict[int, str] = {}
        self._read()

    def path(self, cgroup_id: int) -> str:
        """Return the path below the root of cgroup v2, or an empty string for a cgroup that is gone."""
        if cgroup_id not in self._paths:
            self._read()
        return self._paths.get(cgroup_id, "")

    def _read(self) -> None:
        for folder, _, _ in os.walk(self._tree):
            try:
                inode = Path(folder).stat().st_ino
            except FileNotFoundError:
                continue
            self._paths[inode] = f"/{Path(folder).relative_to(self._tree)}".replace("/.", "/", 1)

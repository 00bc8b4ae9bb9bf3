# SPDX-License-Identifier: Apache-2.0
"""Enters the host's cgroup namespace.

systemd mounts the cgroup tree with `nsdelegate`. In a container with a cgroup namespace of its own, the kernel then
refuses to move a process out of the container's cgroup (cgroup_attach_permissions() in kernel/cgroup/cgroup.c). In the
container's own cgroup an OOM must not be made: it would count as an OOM of the container, and the kubelet would report
the container as OOMKilled.
"""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING

from oompolicy_agent.plumbing.libc import last_error, libc

if TYPE_CHECKING:
    from pathlib import Path

_CLONE_NEWCGROUP = 0x02000000  # include/uapi/linux/sched.h


def enter(namespace: Path) -> None:
    """Enter the cgroup namespace at a path such as /proc/1/ns/cgroup. OSError if the kernel refuses it."""
    fd = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if libc().setns(ctypes.c_int(fd), ctypes.c_int(_CLONE_NEWCGROUP)) != 0:
            raise last_error(namespace)
    finally:
        os.close(fd)

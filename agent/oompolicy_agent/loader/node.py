# SPDX-License-Identifier: Apache-2.0
"""Inspects the node: all facts that `plan` decides by, in one frozen record."""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from oompolicy_agent.kernel.attachment import ftrace_disabled
from oompolicy_agent.loader import hook, module
from oompolicy_agent.loader.bpftool import Tool, probe
from oompolicy_agent.mapping.cgroups import CGROUP2_MAGIC
from oompolicy_agent.objects.checkpoint import boot_id
from oompolicy_agent.plumbing.libc import filesystem_magic
from oompolicy_agent.plumbing.paths import KERNEL_BTF, VMLINUX

BPF_FS_MAGIC: Final = 0xCAFE4A11
"""The magic number of bpffs in include/uapi/linux/magic.h."""

CAPABILITIES: Final = {"CHOWN": 0, "DAC_OVERRIDE": 1, "SYS_MODULE": 16, "SYS_ADMIN": 21, "PERFMON": 38, "BPF": 39}
"""The capabilities that the loader uses, with their bits in include/uapi/linux/capability.h."""


class Cgroup(StrEnum):
    """The kind of cgroup tree at the cgroup root."""

    V2 = "v2"
    HYBRID = "hybrid"
    OTHER = "other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """The facts about this node.

    `uid` is the loader's own user. `lockdown` is the mode of the kernel's lockdown, or None if it is not locked down.
    """

    kernel_version: str
    boot_id: str
    btf: bool
    hook: hook.Hook
    ftrace: bool
    lockdown: str | None
    cgroup: Cgroup
    memory_controller: bool
    bpffs: bool
    bpftool: Tool
    uid: int
    capabilities: frozenset[str]


def inspect_node(bpffs: Path, cgroup_root: Path, btf: Path = KERNEL_BTF, lockdown: Path = module.LOCKDOWN) -> Node:
    """Return the facts about the node. `bpffs` is the folder of pins, which need not exist yet."""
    return Node(
        kernel_version=os.uname().release,
        boot_id=boot_id(),
        btf=(btf / VMLINUX).exists(),
        hook=hook.find(btf),
        ftrace=not ftrace_disabled(),
        lockdown=module.lockdown(lockdown),
        cgroup=cgroup_kind(cgroup_root),
        memory_controller=_has_memory(cgroup_root / "cgroup.controllers"),
        bpffs=filesystem_kind(nearest_existing(bpffs)) == BPF_FS_MAGIC,
        bpftool=probe(),
        uid=os.geteuid(),
        capabilities=capabilities(Path("/proc/self/status").read_text(encoding="utf-8")),
    )


def capabilities(status: str) -> frozenset[str]:
    """Return the effective ones of `CAPABILITIES`, from the text of /proc/PID/status."""
    lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    effective = int(lines["CapEff"], 16)
    return frozenset(name for name, bit in CAPABILITIES.items() if effective >> bit & 1)


def cgroup_kind(root: Path) -> Cgroup:
    """Return the kind of cgroup tree at `root`.

    Hybrid is systemd's layout with v1 controllers beside a v2 tree without controllers.
    """
    if filesystem_kind(root) == CGROUP2_MAGIC:
        return Cgroup.V2
    return Cgroup.HYBRID if filesystem_kind(root / "unified") == CGROUP2_MAGIC else Cgroup.OTHER


def nearest_existing(path: Path) -> Path:
    """Return `path`, or the nearest folder above it that exists, as far as this process may search folders."""
    return next(each for each in (path, *path.parents) if os.path.exists(each))  # noqa: PTH110 - Path.exists() raises


def filesystem_kind(path: Path) -> int:
    """Return the magic number of the file system at `path`, or 0 if `path` does not exist."""
    with suppress(OSError):
        return filesystem_magic(path)
    return 0


def _has_memory(controllers: Path) -> bool:
    try:
        return "memory" in controllers.read_text(encoding="ascii").split()
    except FileNotFoundError:
        return False

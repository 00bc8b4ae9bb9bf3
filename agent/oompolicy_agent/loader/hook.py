# SPDX-License-Identifier: Apache-2.0
"""Finds the hook in the BTF of the kernel or of its module."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from oompolicy_agent.kernel.btf import BTFError, opened
from oompolicy_agent.plumbing.paths import VMLINUX

if TYPE_CHECKING:
    from pathlib import Path

FUNCTION: Final = "bpf_oom_evaluate_task"
MODULE: Final = "oompolicy_hook"


class Hook(StrEnum):
    """The place of the hook."""

    KERNEL = "Kernel"
    MODULE = "Module"
    NONE = "None"


def find(btf: Path) -> Hook:
    """Return the place of the hook according to the BTF files in `btf`, usually /sys/kernel/btf."""
    vmlinux, module = btf / VMLINUX, btf / MODULE
    if _has_function(vmlinux, None):
        return Hook.KERNEL
    return Hook.MODULE if _has_function(module, vmlinux) else Hook.NONE


def named_in(types: bytes, function: str = FUNCTION) -> bool:
    """Return whether the strings of this BTF include a name, by default the hook's."""
    return b"\0" + function.encode() + b"\0" in types


def _has_function(path: Path, base: Path | None) -> bool:
    # libbpf parses 150,000 types of the kernel. That is needed only if the name is among the strings at all.
    try:
        if not named_in(path.read_bytes()):
            return False
        with opened(path, base) as types:
            return types.has_function(FUNCTION)
    except (FileNotFoundError, BTFError):
        return False

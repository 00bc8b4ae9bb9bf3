# SPDX-License-Identifier: Apache-2.0
"""Finds the hook in the BTF of the kernel or of its module."""

from __future__ import annotations

import ctypes
import os
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from oompolicy_agent.kernel.maps import libbpf

if TYPE_CHECKING:
    from pathlib import Path

FUNCTION: Final = "bpf_oom_evaluate_task"
MODULE: Final = "oompolicy_hook"
VMLINUX: Final = "vmlinux"

_KIND_FUNC: Final = 12  # BTF_KIND_FUNC in include/uapi/linux/btf.h


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


def named_in(types: bytes) -> bool:
    """Return whether the strings of this BTF include the hook's name."""
    return b"\0" + FUNCTION.encode() + b"\0" in types


def _has_function(path: Path, base: Path | None) -> bool:
    # libbpf parses 150,000 types of the kernel. That is needed only if the name is among the strings at all.
    try:
        if not named_in(path.read_bytes()):
            return False
    except FileNotFoundError:
        return False
    lib = _library()
    below = lib.btf__parse(os.fsencode(base), None) if base else None
    types = lib.btf__parse_split(os.fsencode(path), below)
    found = bool(types) and lib.btf__find_by_name_kind(types, FUNCTION.encode(), _KIND_FUNC) > 0
    for each in (types, below):
        lib.btf__free(each)
    return found


def _library() -> ctypes.CDLL:
    lib, pointer = libbpf(), ctypes.c_void_p
    lib.btf__parse.restype, lib.btf__parse.argtypes = pointer, (ctypes.c_char_p, pointer)
    lib.btf__parse_split.restype, lib.btf__parse_split.argtypes = pointer, (ctypes.c_char_p, pointer)
    lib.btf__find_by_name_kind.argtypes = (pointer, ctypes.c_char_p, ctypes.c_uint32)
    lib.btf__free.argtypes = (pointer,)
    return lib

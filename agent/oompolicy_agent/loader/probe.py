# SPDX-License-Identifier: Apache-2.0
"""bcc's probes of the kernel: asked after a load failed, for the reason that bpftool does not give."""

from __future__ import annotations

import platform


def doubts() -> tuple[str, ...]:
    """What bcc finds missing in this kernel; nothing where bcc itself is missing."""
    try:
        from bcc import BPF  # noqa: PLC0415 (it maps LLVM, 72 MB)
    except (ImportError, OSError):
        return ()
    # bcc 0.31 answers no on every other machine (BPF.support_kfunc()), though arm64 has trampolines since v6.0.
    trampolines = platform.machine() != "x86_64" or BPF.support_kfunc()
    return explain(trampolines=trampolines, oom_control=BPF.kernel_struct_has_field(b"oom_control", b"chosen_points"))


def explain(*, trampolines: bool, oom_control: int) -> tuple[str, ...]:
    """`oom_control`: 1 if the struct has what the program reads, 0 if not, negative if that could not be told."""
    found = []
    if not trampolines:
        found.append("this kernel shows no BPF trampolines (CONFIG_FUNCTION_TRACER, CONFIG_DYNAMIC_FTRACE)")
    if oom_control == 0:
        found.append("struct oom_control is not as the program knows it")
    return tuple(found)

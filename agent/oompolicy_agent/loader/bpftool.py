# SPDX-License-Identifier: Apache-2.0
"""bpftool: loads and attaches objects, and finds programs by id. bcc's probes explain a failed load."""

from __future__ import annotations

import json
import platform
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from oompolicy_agent.loader.command import Result, run
from oompolicy_agent.loader.errors import RefusedError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_NOT_PERMITTED: Final = "Operation not permitted"

_NO_JIT: Final = "JIT is required"
"""The verifier's message (add_kfunc_call() in kernel/bpf/verifier.c). A container cannot read the sysctl itself."""


class Tool(StrEnum):
    """The installed bpftool: one that can attach programs, one that cannot, or none."""

    GOOD = "good"
    OLD = "old"
    MISSING = "missing"


def probe() -> Tool:
    """Return the kind of bpftool that is installed.

    Debian 12's bpftool 7.1 cannot attach programs. The help text is read instead of the version, because distributions
    build versions with different features.
    """
    try:
        shown = run("bpftool", "prog", "help")
    except (FileNotFoundError, PermissionError):  # the second: a folder of PATH that this user may not search
        return Tool.MISSING
    return Tool.GOOD if "autoattach" in shown.stdout + shown.stderr else Tool.OLD


def load(obj: Path, links: Path, maps: Mapping[str, Path]) -> None:
    """Load all programs of `obj` with these pinned maps, attach them, and pin the links by program name in `links`."""
    reused = [word for name, pin in maps.items() for word in ("map", "name", name, "pinned", str(pin))]
    done = run("bpftool", "prog", "loadall", str(obj), str(links), *reused, "autoattach")
    if done.status == 0:
        return
    if _NO_JIT in done.stderr:
        raise UnsupportedError(
            "net.core.bpf_jit_enable=0: the kernel compiles no BPF program, so this loader attached nothing; "
            "run sysctl net.core.bpf_jit_enable=1 and start the loader again"
        )
    sentence = "; ".join((f"bpftool could not load {obj.name}: {failure(done)}", *_missing_features()))
    raise (UnsupportedError if _NOT_PERMITTED in done.stderr else RefusedError)(sentence)


def failure(done: Result) -> str:
    """Return the most useful lines of libbpf's and bpftool's messages: the program that failed, and the reason."""
    lines = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    programs = [line.removeprefix("libbpf: ") for line in lines if line.startswith("libbpf: prog ")]
    errors = [line.removeprefix("Error: ") for line in lines if line.startswith("Error: ")]
    return "; ".join([*programs[:1], *errors[:1]] or lines[-1:] or [f"exit status {done.status}"])


def has_program(program: int) -> bool:
    """Return whether the kernel still holds a program of this id.

    False also if that cannot be read: it takes SYS_ADMIN and bpftool.
    """
    # The output is read instead of the exit status: bpftool 7.5 ends with 255 after some programs that it could show.
    try:
        text = run("bpftool", "-j", "prog", "show", "id", str(program)).stdout
    except FileNotFoundError:
        return False
    return "error" not in json.loads(text or '{"error": ""}')


def _missing_features() -> tuple[str, ...]:
    """Return the features that bcc finds missing in this kernel, or nothing if bcc is not installed."""
    try:
        from bcc import BPF  # noqa: PLC0415 (it maps LLVM, 72 MB)
    except (ImportError, OSError):
        return ()
    # bcc 0.31 answers no on every other machine (BPF.support_kfunc()), though arm64 has trampolines since v6.0.
    trampolines = platform.machine() != "x86_64" or BPF.support_kfunc()
    return missing_features(
        trampolines=trampolines, oom_control=BPF.kernel_struct_has_field(b"oom_control", b"chosen_points")
    )


def missing_features(*, trampolines: bool, oom_control: int) -> tuple[str, ...]:
    """Return a sentence for each feature that is missing.

    `oom_control` is 1 if the struct has the field that the program reads, 0 if it lacks the field, and negative if that
    is unknown.
    """
    found = []
    if not trampolines:
        found.append("this kernel has no BPF trampolines (CONFIG_FUNCTION_TRACER, CONFIG_DYNAMIC_FTRACE)")
    if oom_control == 0:
        found.append("struct oom_control of this kernel has no field chosen_points, which the module of the hook uses")
    return tuple(found)

# SPDX-License-Identifier: Apache-2.0
"""bpftool: loads and attaches objects, and knows which programs there are."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from oompolicy_agent.loader.command import Result, run
from oompolicy_agent.loader.errors import LoaderError, UnsupportedError
from oompolicy_agent.loader.probe import doubts

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_NOT_PERMITTED: Final = "Operation not permitted"

_NO_JIT: Final = "JIT is required"
"""The verifier's words (add_kfunc_call() in kernel/bpf/verifier.c). The sysctl itself is not visible in a container."""


class Tool(StrEnum):
    """Which bpftool is there."""

    GOOD = "good"
    OLD = "old"
    MISSING = "missing"


def probe() -> Tool:
    """Debian 12's bpftool 7.1 cannot attach; versions say nothing about what a distribution built."""
    try:
        shown = run("bpftool", "prog", "help")
    except FileNotFoundError:
        return Tool.MISSING
    return Tool.GOOD if "autoattach" in shown.stdout + shown.stderr else Tool.OLD


def load(obj: Path, links: Path, maps: Mapping[str, Path]) -> None:
    """Load all programs of `obj` with these pinned maps, attach them, pin the links by program name into `links`."""
    reused = [word for name, pin in maps.items() for word in ("map", "name", name, "pinned", str(pin))]
    done = run("bpftool", "prog", "loadall", str(obj), str(links), *reused, "autoattach")
    if done.status == 0:
        return
    if _NO_JIT in done.stderr:
        raise UnsupportedError(
            "net.core.bpf_jit_enable=0: the kernel compiles no BPF program, so this loader attached nothing; "
            "run sysctl net.core.bpf_jit_enable=1 and start the loader again"
        )
    sentence = "; ".join((f"bpftool could not load {obj.name}: {explain(done)}", *doubts()))
    raise (UnsupportedError if _NOT_PERMITTED in done.stderr else LoaderError)(sentence)


def explain(done: Result) -> str:
    """The lines that tell most, out of libbpf's and bpftool's own: which program, and why."""
    lines = [line.strip() for line in (done.stderr + done.stdout).splitlines() if line.strip()]
    telling = [line.removeprefix("libbpf: ") for line in lines if line.startswith("libbpf: prog ")]
    errors = [line.removeprefix("Error: ") for line in lines if line.startswith("Error: ")]
    return "; ".join([*telling[:1], *errors[:1]] or lines[-1:] or [f"exit status {done.status}"])


def has_program(program: int) -> bool:
    """Whether the kernel still holds a program of this id, as far as we may (SYS_ADMIN) and can (bpftool) know."""
    # By what it prints: 7.5 ends with status 255 after some that it could show.
    try:
        text = run("bpftool", "-j", "prog", "show", "id", str(program)).stdout
    except FileNotFoundError:
        return False
    return "error" not in json.loads(text or '{"error": ""}')

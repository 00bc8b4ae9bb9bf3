# SPDX-License-Identifier: Apache-2.0
"""The hook's kernel module: in, out, and which one is there."""

from __future__ import annotations

from hashlib import sha256
from pathlib import Path
from typing import Final

from oompolicy_agent.loader import kernellog
from oompolicy_agent.loader.command import run
from oompolicy_agent.loader.errors import LoaderError
from oompolicy_agent.loader.hook import MODULE
from oompolicy_agent.loader.wait import until

SYS: Final = Path("/sys/module") / MODULE
_SOURCE: Final = ("oompolicy_hook.c", "oompolicy_trace.h", "Kbuild")
"""What the module's version hashes, in Kbuild's order."""

LOCKDOWN: Final = Path("/sys/kernel/security/lockdown")

PATIENCE: Final = 60.0
"""Seconds for the programs' last references to go: they are freed after a grace period of tasks."""


def insert(file: Path) -> str | None:
    """Load the module: None once it is in, else one sentence why it is not."""
    if not file.is_file():
        return f"there is no module for this kernel: {_read(reason_file(file)) or f'{file} does not exist'}"
    before = frozenset(kernellog.lines())
    try:
        done = run("insmod", str(file))
    except FileNotFoundError:
        return "the hook's module cannot be loaded: insmod (package kmod) is not installed"
    if done.status == 0 or "File exists" in done.stderr:
        return None
    said = kernellog.said(MODULE, [line for line in kernellog.lines() if line not in before])
    return refusal(file.name, done.stderr, said, _read(LOCKDOWN))


def reason_file(file: Path) -> Path:
    """Where `build` says in one sentence why it did not make `file`."""
    return file.with_name(f"{file.name}.reason")


def refusal(file: str, stderr: str, said: tuple[str, ...], lockdown: str) -> str:
    """One sentence from insmod's message, the kernel's own last words and the lockdown mode."""
    reason = stderr.strip().rpartition(": ")[2] or "insmod failed"
    sentence = f"the kernel refused {file}: {reason}"
    if said:
        sentence += f"; the kernel says: {said[-1]}"
    if reason == "Key was rejected by service":
        sentence += "; secure boot admits only modules signed with a key that this machine knows"
    elif reason == "Operation not permitted":
        mode = active_lockdown(lockdown)
        sentence += f"; the kernel is locked down ({mode})" if mode else "; CAP_SYS_MODULE is needed"
    return sentence


def active_lockdown(text: str) -> str:
    """The mode in brackets, empty for none: `none [integrity] confidentiality`."""
    mode = text.partition("[")[2].partition("]")[0]
    return "" if mode == "none" else mode


def version_warning(file: Path) -> str | None:
    """One sentence if the module that runs was not built from the same source as `file`."""
    running, offered = running_version(), source_version(file)
    if not running or not offered or running == offered:
        return None
    return (
        f"another version of {MODULE} is loaded (srcversion {running}, {file.name} has {offered}) and stays: "
        "detach first, or reboot"
    )


def source_version(file: Path) -> str:
    """Empty where there is no such file or modinfo."""
    try:
        return run("modinfo", "-F", "srcversion", str(file)).stdout.strip() if file.is_file() else ""
    except FileNotFoundError:
        return ""


def remove(patience: float = PATIENCE) -> None:
    """Unload the module, if it is there. LoaderError while somebody uses it."""
    if not until(lambda: _read(SYS / "refcnt") in {"0", ""}, patience):
        raise LoaderError(
            f"{MODULE} stays loaded: it is still in use {patience:.0f} s after our programs were detached"
        )
    if not SYS.exists():
        return
    done = run("rmmod", MODULE)
    if done.status != 0 and SYS.exists():
        raise LoaderError(f"{MODULE} stays loaded: {done.stderr.strip().rpartition(': ')[2]}")


def loaded() -> bool:
    """Whether the module is in the kernel, whoever put it there."""
    return SYS.exists()


def running_version() -> str:
    """The srcversion of the module that is loaded; empty if there is none."""
    return _read(SYS / "srcversion")


def loaded_from(source: Path) -> bool:
    """Whether the module in the kernel was compiled from the files in `source`; False where they are not there.

    srcversion would tell the same, but only after a compilation: the kernel's modpost makes it.
    """
    try:
        content = b"".join((source / name).read_bytes() for name in _SOURCE)
    except FileNotFoundError:
        return False
    return _read(SYS / "version").endswith(f"+{sha256(content).hexdigest()[:12]}")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""

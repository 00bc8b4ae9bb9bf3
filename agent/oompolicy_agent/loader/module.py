# SPDX-License-Identifier: Apache-2.0
"""The hook's kernel module: in, out, and which one is there."""

from __future__ import annotations

import struct
from hashlib import sha256
from pathlib import Path
from typing import Final

from oompolicy_agent.kernel.btf import ELF, BTFError, section
from oompolicy_agent.loader import kernellog
from oompolicy_agent.loader.command import run
from oompolicy_agent.loader.errors import LoaderError
from oompolicy_agent.loader.hook import FUNCTION, MODULE, named_in
from oompolicy_agent.loader.wait import until

SYS: Final = Path("/sys/module") / MODULE
_SOURCE: Final = ("oompolicy_hook.c", "oompolicy_trace.h", "Kbuild")
"""What the module's version hashes, in Kbuild's order."""

NO_BTF: Final = "was built without BTF, and no program could attach to its hook"

LOCKDOWN: Final = Path("/sys/kernel/security/lockdown")

PATIENCE: Final = 60.0
"""Seconds for the programs' last references to go: they are freed after a grace period of tasks."""


def insert(file: Path) -> str | None:
    """Load the module: None once it is in, else one sentence why it is not."""
    if not file.is_file():
        return f"there is no module for this kernel: {_read(reason_file(file)) or f'{file} does not exist'}"
    if lacking := _flaw(file.read_bytes()):
        return f"{file} was not loaded: {lacking}"
    before = frozenset(kernellog.lines())
    try:
        done = run("insmod", str(file))
    except FileNotFoundError:
        return "the hook's module cannot be loaded: insmod (package kmod) is not installed"
    if done.status == 0 or "File exists" in done.stderr:
        return None
    said = kernellog.said(MODULE, [line for line in kernellog.lines() if line not in before])
    return refusal(file.name, done.stderr, said, lockdown())


def lacks_btf(content: bytes) -> bool:
    """Whether this is a module without BTF: the kernel loads it all the same, and its hook can never be used.

    That is check_btf_kconfigs() in kernel/bpf/btf.c. A compressed file, which insmod takes too, counts as complete.
    """
    return content.startswith(ELF) and _btf(content) is None


def _flaw(content: bytes) -> str | None:
    if lacks_btf(content):
        return f"it {NO_BTF}"
    types = _btf(content)
    return f"its BTF has no function {FUNCTION}, so it is another module" if types and not named_in(types) else None


def _btf(content: bytes) -> bytes | None:
    """The section with the module's types; None where there is none."""
    try:
        return section(content, b".BTF")
    except (BTFError, struct.error, IndexError):
        return None


def reason_file(file: Path) -> Path:
    """Where `build` says in one sentence why it did not make `file`."""
    return file.with_name(f"{file.name}.reason")


def refusal(file: str, stderr: str, said: tuple[str, ...], mode: str) -> str:
    """One sentence from insmod's message, the kernel's own last words and the mode of lockdown."""
    reason = stderr.strip().rpartition(": ")[2] or "insmod failed"
    sentence = f"the kernel refused {file}: {reason}"
    if said:
        sentence += f"; the kernel says: {said[-1]}"
    if reason == "Key was rejected by service":
        sentence += "; secure boot admits only modules signed with a key that this machine knows"
    elif reason == "Operation not permitted":
        sentence += f"; the kernel is locked down ({mode})" if mode else "; CAP_SYS_MODULE is needed"
    return sentence


def lockdown() -> str:
    """The mode of lockdown that this kernel is in: `integrity`, `confidentiality`, or empty for none."""
    return active_lockdown(_read(LOCKDOWN))


def active_lockdown(text: str) -> str:
    """The mode in brackets, empty for none: `none [integrity] confidentiality`."""
    mode = text.partition("[")[2].partition("]")[0]
    return "" if mode == "none" else mode


def withdraw(file: Path) -> str:
    """Take out a module that is in although the node shows no hook afterwards: one sentence about it."""
    sentence = (
        f"{file.name} was loaded, but /sys/kernel/btf/{MODULE} shows no hook: the kernel did not take the module's "
        "BTF, which has to be built against this very kernel"
    )
    try:
        remove()
    except LoaderError as error:
        return f"{sentence}; {error}"
    return f"{sentence}; it was taken out again"


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

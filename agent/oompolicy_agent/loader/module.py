# SPDX-License-Identifier: Apache-2.0
"""The hook's kernel module: loads and removes it, and compares versions. The kernel's log explains a refusal."""

from __future__ import annotations

import re
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final

from oompolicy_agent.kernel.btf import BTFError, MissingBTFError, opened
from oompolicy_agent.loader.command import run
from oompolicy_agent.loader.errors import LoaderError
from oompolicy_agent.loader.hook import FUNCTION, MODULE, named_in
from oompolicy_agent.loader.wait import until
from oompolicy_agent.plumbing.paths import KERNEL_BTF, VMLINUX
from oompolicy_agent.plumbing.syslog import read_all

if TYPE_CHECKING:
    from collections.abc import Iterable

SYS: Final = Path("/sys/module") / MODULE
_SOURCE: Final = ("oompolicy_hook.c", "oompolicy_trace.h", "Kbuild")
"""The files that the module's version is a hash of, in Kbuild's order."""

NO_BTF: Final = "was built without BTF, and no program could attach to its hook"

LOCKDOWN: Final = Path("/sys/kernel/security/lockdown")

PATIENCE: Final = 60.0
"""Seconds to wait for the last references of the programs. The kernel frees them after a grace period of tasks."""

_ELF: Final = b"\x7fELF"  # the first bytes of an ELF file

_LOG_HEAD: Final = re.compile(r"^<\d+>(?:\[[ \d.]+\](?:\[ *[TC]\d+\])? )?")
"""The level of a line in the kernel's log. Time and caller follow, if the kernel is configured to log them."""


def insert(file: Path) -> str | None:
    """Load the module. Return None if it is loaded, else one sentence with the reason."""
    if not file.is_file():
        return f"there is no module for this kernel: {_read(reason_file(file)) or f'{file} does not exist'}"
    if unusable := _unusable(file):
        return f"{file} was not loaded: {unusable}"
    before = frozenset(_kernel_log())
    try:
        done = run("insmod", str(file))
    except FileNotFoundError:
        return "the hook's module cannot be loaded: insmod (package kmod) is not installed"
    if done.status == 0 or "File exists" in done.stderr:
        return None
    logged = logged_by(MODULE, [line for line in _kernel_log() if line not in before])
    return refusal(file.name, done.stderr, logged, lockdown())


def lacks_btf(file: Path) -> bool:
    """Return whether this is a module without BTF. The kernel loads such a module, but its hook can never be used.

    That is check_btf_kconfigs() in kernel/bpf/btf.c. A compressed file, which insmod takes too, counts as complete.
    """
    try:
        with opened(file):
            return False
    except MissingBTFError:
        return _is_elf(file)
    except BTFError:
        return False  # it has BTF, which cannot be read without the kernel's


def _is_elf(file: Path) -> bool:
    with file.open("rb") as content:
        return content.read(len(_ELF)) == _ELF


def _unusable(file: Path) -> str | None:
    if lacks_btf(file):
        return f"it {NO_BTF}"
    return f"its BTF has no function {FUNCTION}, so it is another module" if _is_another(file) else None


def _is_another(file: Path) -> bool:
    """Return whether the module's BTF does not name the hook. False if libbpf cannot read it: the kernel decides then.

    The name is searched in the raw BTF. Modules for newer kernels refer to the types in their section .BTF.base. libbpf
    before 1.5 ignores that section, so it would look up the names of their functions in the wrong strings.
    """
    try:
        with opened(file, KERNEL_BTF / VMLINUX) as types:
            return not named_in(types.raw)
    except BTFError:
        return False


def reason_file(file: Path) -> Path:
    """Return the file in which `build` says in one sentence why it did not make `file`."""
    return file.with_name(f"{file.name}.reason")


def refusal(file: str, stderr: str, logged: tuple[str, ...], mode: str | None) -> str:
    """Return one sentence from insmod's message, the last line in the kernel's log and the mode of lockdown."""
    reason = stderr.strip().rpartition(": ")[2] or "insmod failed"
    sentence = f"the kernel refused {file}: {reason}"
    if logged:
        sentence += f"; the kernel's log says: {logged[-1]}"
    if reason == "Key was rejected by service":
        sentence += "; with Secure Boot the module must be signed with a key that this machine trusts"
    elif reason == "Operation not permitted":
        sentence += f"; the kernel is locked down ({mode})" if mode else "; CAP_SYS_MODULE is needed"
    return sentence


def lockdown(file: Path = LOCKDOWN) -> str | None:
    """Return the mode of the kernel's lockdown: `integrity`, `confidentiality`, or None if it is not locked down."""
    return active_lockdown(_read(file))


def active_lockdown(text: str) -> str | None:
    """Return the mode in brackets, as in `none [integrity] confidentiality`, or None for `[none]`."""
    mode = text.partition("[")[2].partition("]")[0]
    return None if mode in {"", "none"} else mode


def withdraw(file: Path) -> str:
    """Remove a module that is loaded although the node shows no hook. Return one sentence about it."""
    sentence = (
        f"{file.name} was loaded, but /sys/kernel/btf/{MODULE} shows no hook: the kernel did not take the module's "
        "BTF, which has to be built against this very kernel"
    )
    try:
        remove()
    except LoaderError as error:
        return f"{sentence}; {error}"
    return f"{sentence}; it was removed again"


def version_warning(file: Path) -> str | None:
    """Return one sentence if the loaded module was not built from the same source as `file`."""
    running, offered = running_version(), source_version(file)
    if not running or not offered or running == offered:
        return None
    return (
        f"another version of {MODULE} is loaded (srcversion {running}, {file.name} has {offered}) and stays: "
        "detach first, or reboot"
    )


def source_version(file: Path) -> str:
    """Return the srcversion of `file`. It is empty if there is no such file or modinfo is not installed."""
    try:
        return run("modinfo", "-F", "srcversion", str(file)).stdout.strip() if file.is_file() else ""
    except FileNotFoundError:
        return ""


def remove(patience: float = PATIENCE) -> None:
    """Remove the module from the kernel, if it is loaded. LoaderError if it stays, for example because it is in use."""
    if not until(lambda: _read(SYS / "refcnt") in {"0", ""}, patience):
        raise LoaderError(
            f"{MODULE} stays loaded: it is still in use {patience:.0f} s after the loader detached its programs"
        )
    if not SYS.exists():
        return
    done = run("rmmod", MODULE)
    if done.status != 0 and SYS.exists():
        raise LoaderError(f"{MODULE} stays loaded: {done.stderr.strip().rpartition(': ')[2]}")


def loaded() -> bool:
    """Return whether the module is in the kernel, also if it was not loaded by the loader."""
    return SYS.exists()


def running_version() -> str:
    """Return the srcversion of the loaded module. It is empty if the module is not loaded."""
    return _read(SYS / "srcversion")


def loaded_from(source: Path) -> bool:
    """Return whether the loaded module was compiled from the files in `source`. False also if a file is missing.

    srcversion would say the same, but only after a compilation: the kernel's modpost makes it.
    """
    try:
        content = b"".join((source / name).read_bytes() for name in _SOURCE)
    except FileNotFoundError:
        return False
    return _read(SYS / "version").endswith(f"+{sha256(content).hexdigest()[:12]}")


def logged_by(module: str, lines: Iterable[str]) -> tuple[str, ...]:
    """Return the messages of a module among `lines` of the kernel's log, the oldest first."""
    prefix = f"{module}: "
    texts = (_LOG_HEAD.sub("", line) for line in lines)
    # Every module from outside the kernel's tree logs that it taints the kernel. That is never the reason.
    return tuple(text.removeprefix(prefix) for text in texts if text.startswith(prefix) and "taint" not in text)


def _kernel_log() -> tuple[str, ...]:
    """Return the lines of the kernel's log, the oldest first, or none if the loader may not read it (CAP_SYSLOG)."""
    try:
        return tuple(read_all().decode(errors="replace").splitlines())
    except OSError:
        return ()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""

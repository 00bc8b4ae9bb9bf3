# SPDX-License-Identifier: Apache-2.0
"""Read the facts of `preflight`. Nothing here writes, and a file that cannot be read makes a fact unknown."""

from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from oompolicy_agent.kernel.attachment import BYPASSES
from oompolicy_agent.loader import hook, module
from oompolicy_agent.loader.compiler import GCC, kernel_compiler
from oompolicy_agent.loader.node import inspect_node
from oompolicy_agent.loader.preflight.facts import Facts, Headers, Offered, Unknown
from oompolicy_agent.plumbing.paths import BPFFS, CGROUP_ROOT, KERNEL_BTF, VMLINUX

if TYPE_CHECKING:
    from collections.abc import Iterable

    from oompolicy_agent.loader.settings import Settings

REDIRECTED: Final = "oom_evaluate_task"
"""The function of the kernel that the module redirects."""
REGISTER: Final = "register_btf_fmodret_id_set"
"""The function of the kernel by which a module offers its hook to programs."""
FUNCTIONS: Final = (REDIRECTED, REGISTER)

_SECURE_BOOT: Final = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
_MODULE_BTF: Final = "CONFIG_DEBUG_INFO_BTF_MODULES=y"
_SIGNED: Final = b"~Module signature appended~\n"  # include/linux/module_signature.h
_WHOLE_HOST: Final = ("0", "0", "4294967295")
"""The only line of /proc/self/uid_map outside of user namespaces."""


def collect(settings: Settings, own: Path = Path("/")) -> Facts:
    """Return the facts. The node's folders are below `settings.root`, and this process's own below `own`.

    In a container some folders of /sys are empty, or are those of the container. What the kernel shows in /proc, and in
    /sys/kernel/btf and /sys/module, is the same everywhere.
    """
    root, proc = settings.root, own / "proc"
    security = root / "sys/kernel/security"
    bpffs, cgroup_root = root / BPFFS.relative_to("/"), root / CGROUP_ROOT.relative_to("/")
    types = own / KERNEL_BTF.relative_to("/")
    node = inspect_node(bpffs, cgroup_root, types, security / "lockdown")
    compiler = kernel_compiler(_text(proc / "version"))
    return Facts(
        node=node,
        machine=os.uname().machine,
        bpffs=bpffs,
        cgroup_root=cgroup_root,
        functions=_functions(types / VMLINUX),
        module_btf=_module_btf(types, _config(root, proc, node.kernel_version)),
        offered=_offered(settings.module),
        headers=_headers(root, settings.headers),
        compiler=compiler,
        missing=_missing(compiler),
        lockdown=_lockdown(security / "lockdown", node.lockdown),
        secure_boot=_secure_boot(root),
        takes_modules=(proc / "modules").exists(),
        modules_disabled=_text(proc / "sys/kernel/modules_disabled") == "1",
        sig_enforce=_flag(_text(own / "sys/module/module/parameters/sig_enforce")),
        loadpin=_loadpin(proc),
        psi=(proc / "pressure/memory").exists(),
        sysctls={name: _text(proc.joinpath("sys", *name.split("."))) for name in BYPASSES},
        live_patches=_live_patches(own / "sys/kernel/livepatch"),
        redirected=_redirected(root / "sys/kernel/tracing/enabled_functions", node.hook),
        user_namespace=tuple(_text(proc / "self/uid_map").split()) not in {_WHOLE_HOST, ()},
        agent_uid=settings.uid,
        swap_mib=swap_mib(_text(proc / "swaps").splitlines()),
        unprivileged_bpf=_text(proc / "sys/kernel/unprivileged_bpf_disabled"),
        log_times=_flag(_text(own / "sys/module/printk/parameters/time")) is not False,
        load=settings.load,
        adjuster=settings.adjuster,
        kernel_log=settings.kernel_log,
    )


def swap_mib(lines: Iterable[str]) -> int:
    """Return the size of all swap areas in the lines of /proc/swaps."""
    sizes = [line.split()[2] for line in lines if not line.startswith("Filename") and len(line.split()) > 2]
    return sum(map(int, sizes)) // 1024


def is_redirected(lines: Iterable[str]) -> bool:
    """Return whether a line of ftrace's `enabled_functions` has the module's function with the flag I (IPMODIFY)."""
    words = [line.split() for line in lines]
    return any(each[0] == REDIRECTED and "I" in each[1:6] for each in words if each)


def _functions(vmlinux: Path) -> frozenset[str]:
    try:
        types = vmlinux.read_bytes()
    except OSError:
        return frozenset()
    return frozenset(name for name in FUNCTIONS if hook.named_in(types, name))


def _module_btf(types: Path, config: str | None) -> bool | Unknown:
    """Return whether modules have BTF. A loaded one with BTF proves it, else the kernel's configuration says it."""
    if types.is_dir() and any(each.name != VMLINUX for each in types.iterdir()):
        return True
    if config is None:
        return Unknown("no loaded module has BTF, and the kernel's configuration cannot be read")
    return _MODULE_BTF in config.splitlines()


def _config(root: Path, proc: Path, release: str) -> str | None:
    try:
        return gzip.decompress((proc / "config.gz").read_bytes()).decode("ascii", "replace")
    except OSError:
        files = (root / f"boot/config-{release}", root / f"lib/modules/{release}/config")
        return next(filter(None, map(_text, files)), None)


def _offered(file: Path | None) -> Offered | None:
    if file is None:
        return None
    try:
        signed = file.read_bytes().endswith(_SIGNED)
    except OSError:
        return Offered(file, exists=False, btf=False, signed=False)
    return Offered(file, exists=True, btf=not module.lacks_btf(file), signed=signed)


def _headers(root: Path, folder: Path) -> Headers:
    # Ubuntu's link to the headers is absolute, so in a container it points into the wrong root.
    if folder.is_symlink() and (target := folder.readlink()).is_absolute():
        folder = root / target.relative_to("/")
    resolver = folder / "tools/bpf/resolve_btfids/resolve_btfids"
    return Headers(folder, exists=os.path.exists(folder / "Makefile"), resolver=os.path.exists(resolver))  # noqa: PTH110


def _missing(compiler: str) -> tuple[str, ...]:
    own = compiler or "gcc"
    others = GCC if own.startswith("gcc") else GCC[:1]
    wanted = {"make": ("make",), "pahole": ("pahole",), own: (own, *others)}
    return tuple(name for name, names in wanted.items() if not any(map(shutil.which, names)))


def _lockdown(file: Path, mode: str | None) -> str | Unknown | None:
    if _text(file):
        return mode
    # With securityfs, only a kernel without lockdown has no such file.
    return None if (file.parent / "lsm").exists() else Unknown(f"securityfs is not mounted at {file.parent}")


def _secure_boot(root: Path) -> bool | Unknown:
    try:
        return (root / _SECURE_BOOT).read_bytes()[-1:] == b"\1"
    except PermissionError as error:
        return Unknown(f"{error.filename} cannot be read: {error.strerror}")
    except OSError:
        firmware = root / "sys/firmware"
        if (firmware / "efi").exists():
            return Unknown(f"{firmware}/efi/efivars does not have the variable SecureBoot")
        # A container runtime hides this folder behind an empty one.
        return False if _has_entries(firmware) else Unknown(f"{firmware} is empty")


def _loadpin(proc: Path) -> bool:
    excluded = "loadpin.exclude=" in _text(proc / "cmdline") and "kernel-module" in _text(proc / "cmdline")
    return _text(proc / "sys/kernel/loadpin/enforce") == "1" and not excluded


def _live_patches(folder: Path) -> tuple[str, ...]:
    """Return the live patches that change the module's function. The kernel has a folder for each changed function."""
    return tuple(sorted({each.parent.parent.name for each in folder.glob(f"*/vmlinux/{REDIRECTED},*")}))


def _redirected(file: Path, found: hook.Hook) -> bool | Unknown:
    if found is hook.Hook.MODULE:
        return False
    try:
        return is_redirected(file.read_text(encoding="utf-8", errors="replace").splitlines())
    except OSError as error:
        return Unknown(f"{file} cannot be read: {error.strerror}")


def _has_entries(folder: Path) -> bool:
    try:
        return any(folder.iterdir())
    except OSError:
        return False


def _flag(text: str) -> bool | None:
    return text == "Y" if text else None


def _text(path: Path) -> str:
    """Return the content of a file, or nothing if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""

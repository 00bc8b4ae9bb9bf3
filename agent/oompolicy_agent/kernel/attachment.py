# SPDX-License-Identifier: Apache-2.0
"""Read how this node enforces: the loader's report, its links, and the sysctls that bypass the hook."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from oompolicy_agent.kernel import proof
from oompolicy_agent.kernel.backend import Backend
from oompolicy_agent.plumbing.paths import LOADER_REPORT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from oompolicy_agent.kernel.proof import Proof

SYSCTLS: Final = Path("/proc/sys")

# Documentation/admin-guide/sysctl/vm.rst; mm/oom_kill.c, out_of_memory() and check_panic_on_oom(). 0 is the good value.
BYPASSES: Final = {
    "vm.panic_on_oom": "the kernel panics instead of choosing a victim",
    "vm.oom_kill_allocating_task": "the kernel kills the process that asked for memory, regardless of its priority",
}
"""The sysctls that keep the kernel from choosing a victim in some OOMs, each with its effect."""

# Documentation/admin-guide/sysctl/kernel.rst; kernel/trace/ftrace.c, ftrace_enable_sysctl(). BPF trampolines are called
# by ftrace as well, so 0 silences each program that is attached to a function. Programs at tracepoints still run.
_FTRACE: Final = "kernel.ftrace_enabled"

# Documentation/admin-guide/sysctl/kernel.rst. 1 and 2 refuse every BPF command of a process without CAP_BPF before
# Linux 5.19, and the creation of maps and programs since.
_UNPRIVILEGED: Final = "kernel.unprivileged_bpf_disabled"


@dataclass(frozen=True, slots=True)
class Attachment:
    """The state of the loader's programs. `problem` is a sentence, or None while they are attached.

    `disabled` is a sentence while the kernel calls no attached program in any OOM, or None. `warnings` are about
    single OOMs in which the kernel calls none. `proof` is the result of the loader's proof, or None without one.
    `refused` is True if the loader has run since the boot and could attach nothing.
    """

    backend: str
    hook: str
    kernel_version: str
    problem: str | None
    message: str
    warnings: tuple[str, ...]
    disabled: str | None = None
    proof: Proof | None = None
    refused: bool = False

    @property
    def enforcing(self) -> bool:
        """True if the kernel calls the hook on this node."""
        return not self.problem and not self.disabled and self.backend == Backend.EVALUATE_TASK


def read_attachment(run_dir: Path, bpffs: Path, boot_id: str, sysctls: Path = SYSCTLS) -> Attachment:
    """Return the current state. `sysctls` is the folder of all sysctls."""
    report, problem = _report(run_dir / LOADER_REPORT, boot_id)
    problem = problem or _links(bpffs / "links", report)
    return Attachment(
        backend=_text(report, "backend"),
        hook=_text(report, "hook"),
        kernel_version=_text(report, "kernelVersion") or os.uname().release,
        problem=problem,
        message=_text(report, "message"),
        warnings=(*_loader_warnings(report), *bypasses(sysctls)),
        disabled=_disabled(sysctls),
        proof=proof.parse(report.get("proof")),
        refused=report.get("bootId") == boot_id and report.get("attached") is False,
    )


def bypasses(sysctls: Path = SYSCTLS) -> tuple[str, ...]:
    """Return a sentence for each sysctl that keeps the kernel from calling the hook in some OOMs."""
    values = {name: _value(sysctls, name) for name in BYPASSES}
    return tuple(f"{name}={value}: {BYPASSES[name]}" for name, value in values.items() if value not in {"", "0"})


def panics(sysctls: Path = SYSCTLS) -> bool:
    """Return True if the kernel panics at an OOM of a cgroup, or if that is unknown."""
    return _value(sysctls, "vm.panic_on_oom") not in {"0", "1"}


def ftrace_disabled(sysctls: Path = SYSCTLS) -> bool:
    """Return True if the kernel calls no program and no module that is attached to the entry of a function."""
    return _value(sysctls, _FTRACE) == "0"


def unprivileged_bpf_disabled(sysctls: Path = SYSCTLS) -> str:
    """Return the value of the sysctl if it restricts processes without CAP_BPF, else nothing."""
    return _value(sysctls, _UNPRIVILEGED).removeprefix("0")


def _disabled(sysctls: Path) -> str | None:
    if not ftrace_disabled(sysctls):
        return None
    return f"{_FTRACE}=0: the kernel asks no policy and chooses victims by its own rule; run sysctl {_FTRACE}=1"


def _value(sysctls: Path, name: str) -> str:
    """Return the value of a sysctl, or nothing if it does not exist or cannot be read."""
    try:
        return sysctls.joinpath(*name.split(".")).read_text(encoding="ascii").strip()
    except OSError:
        return ""


def _loader_warnings(report: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the loader's message without its words about sysctls, which are read anew."""
    warnings = report.get("warnings")
    found = warnings if isinstance(warnings, list) else []
    return tuple(text for text in found if isinstance(text, str) and not text.startswith("vm."))


def _report(path: Path, boot_id: str) -> tuple[Mapping[str, Any], str | None]:
    try:
        report = json.loads(path.read_bytes())
    except FileNotFoundError:
        return {}, f"the loader has not run: no {path}"
    except (OSError, ValueError) as error:
        return {}, f"the loader's report {path} cannot be read: {error}"
    if not isinstance(report, dict):
        return {}, f"the loader's report {path} is no object"
    if report.get("bootId", boot_id) != boot_id:
        return {}, f"the loader has not run since the node booted: {path} is older"
    if report.get("attached") is not True:
        return report, f"the loader attached nothing: {_text(report, 'message') or 'it does not say why'}"
    return report, None


def _links(folder: Path, report: Mapping[str, Any]) -> str | None:
    """Return a sentence about missing links, or None. If the folder cannot be listed, its existence suffices."""
    of_object = folder / _text(report, "object")
    try:
        if missing := [name for name in report.get("links", ()) if not (of_object / name).exists()]:
            return f"links are missing in {of_object}: {', '.join(missing)}"
        of_object.stat()
        return None if any(of_object.iterdir()) else f"no link is left in {of_object}"
    except FileNotFoundError:
        return f"links are missing: no {of_object}"
    except PermissionError:
        return None


def _text(report: Mapping[str, Any], key: str) -> str:
    value = report.get(key)
    return value if isinstance(value, str) else ""

# SPDX-License-Identifier: Apache-2.0
"""The facts about a node that `preflight` decides by, in one frozen record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from oompolicy_agent.loader.node import Node


@dataclass(frozen=True, slots=True)
class Unknown:
    """A fact that this process cannot read, with the reason."""

    reason: str


@dataclass(frozen=True, slots=True)
class Offered:
    """The module file of the flag `--module`."""

    file: Path
    exists: bool
    btf: bool
    signed: bool


@dataclass(frozen=True, slots=True)
class Headers:
    """The folder of the kernel's headers. `resolver` says that it has resolve_btfids."""

    folder: Path
    exists: bool
    resolver: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """The facts about this node.

    `node` has those that `attach` reads too. `functions` are the ones of `collect.FUNCTIONS` in the kernel's BTF.
    `compiler` is the name of the compiler that made the kernel, and `missing` are the tools of a build that are not
    installed. `sig_enforce` is None if the kernel was built without signatures of modules. `loadpin` is True if LoadPin
    refuses modules. `redirected` is True if a program other than the module redirects `oom_evaluate_task()`.
    `unprivileged_bpf` is the sysctl kernel.unprivileged_bpf_disabled, and `log_times` is False if the kernel's log has
    no times.
    `load` is False if this installation loads no module, and `adjuster` is False if no adjuster writes scores.
    `kernel_log` is True if the adjuster may read the kernel's log.
    """

    node: Node
    machine: str
    bpffs: Path
    cgroup_root: Path
    functions: frozenset[str]
    module_btf: bool | Unknown
    offered: Offered | None
    headers: Headers
    compiler: str
    missing: tuple[str, ...]
    lockdown: str | Unknown | None
    secure_boot: bool | Unknown
    takes_modules: bool
    modules_disabled: bool
    sig_enforce: bool | None
    loadpin: bool
    psi: bool
    sysctls: Mapping[str, str]
    live_patches: tuple[str, ...]
    redirected: bool | Unknown
    user_namespace: bool
    agent_uid: int
    swap_mib: int
    unprivileged_bpf: str
    log_times: bool
    load: bool
    adjuster: bool
    kernel_log: bool

# SPDX-License-Identifier: Apache-2.0
"""A node that can load the module, from which each test takes something away."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from oompolicy_agent.loader.bpftool import Tool
from oompolicy_agent.loader.hook import Hook
from oompolicy_agent.loader.node import Cgroup, Node
from oompolicy_agent.loader.preflight.answer import answer
from oompolicy_agent.loader.preflight.checks import checks
from oompolicy_agent.loader.preflight.collect import FUNCTIONS
from oompolicy_agent.loader.preflight.facts import Facts, Headers, Offered

NODE: Final = Node(
    kernel_version="6.12.107+deb13-cloud-amd64",
    boot_id="boot",
    btf=True,
    hook=Hook.NONE,
    ftrace=True,
    lockdown=None,
    cgroup=Cgroup.V2,
    memory_controller=True,
    bpffs=True,
    bpftool=Tool.GOOD,
    uid=41317,
    capabilities=frozenset(),
)
SIGNED: Final = Offered(Path("/m/hook.ko"), exists=True, btf=True, signed=True)
UNSIGNED: Final = replace(SIGNED, signed=False)
NO_HEADERS: Final = Headers(Path("/h"), exists=False, resolver=False)
GOOD: Final = Facts(
    node=NODE,
    machine="x86_64",
    bpffs=Path("/pins"),
    cgroup_root=Path("/cgroups"),
    functions=frozenset(FUNCTIONS),
    module_btf=True,
    offered=None,
    headers=Headers(Path("/h"), exists=True, resolver=True),
    compiler="gcc-14",
    missing=(),
    lockdown=None,
    secure_boot=False,
    takes_modules=True,
    modules_disabled=False,
    sig_enforce=False,
    loadpin=False,
    psi=True,
    sysctls={"vm.panic_on_oom": "0", "vm.oom_kill_allocating_task": "0"},
    live_patches=(),
    redirected=False,
    user_namespace=False,
    agent_uid=41317,
    swap_mib=0,
    unprivileged_bpf="2",
    log_times=True,
    load=True,
    adjuster=True,
    kernel_log=False,
)


def facts(**changes: Any) -> Facts:  # noqa: ANN401 (fields of Facts and of its Node)
    """Return the good node with other fields. A field of its Node may be given too."""
    of_node = {name: changes.pop(name) for name in list(changes) if name in Node.__slots__ and name != "lockdown"}
    return replace(GOOD, node=replace(NODE, **of_node), **changes)


def line(**changes: Any) -> str:  # noqa: ANN401 (see above)
    """Return the last line of the table."""
    found = facts(**changes)
    return str(answer(found, checks(found)))


def row(name: str, **changes: Any) -> tuple[str, str, str]:  # noqa: ANN401 (see above)
    """Return what one row has found, its verdict and its consequence."""
    (found,) = (each for each in checks(facts(**changes)) if each.name == name)
    return found.found, found.verdict.value, found.consequence

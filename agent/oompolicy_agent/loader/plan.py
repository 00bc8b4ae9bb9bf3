# SPDX-License-Identifier: Apache-2.0
"""Decides which object a node can attach, if any. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from oompolicy_agent.kernel.backend import Backend
from oompolicy_agent.loader.bpftool import Tool
from oompolicy_agent.loader.hook import Hook
from oompolicy_agent.loader.node import Cgroup

if TYPE_CHECKING:
    from pathlib import Path

    from oompolicy_agent.kernel.proof import Proof
    from oompolicy_agent.loader.node import Node

FULL: Final = "oompolicy.bpf.o"
OBSERVE: Final = "observe.bpf.o"

NO_BTF: Final = "this kernel has no BTF (CONFIG_DEBUG_INFO_BTF): /sys/kernel/btf/vmlinux is missing"
_NO_HOOK: Final = "this kernel has no hook, neither built in nor in a module"


@dataclass(frozen=True, slots=True)
class Plan:
    """The object to attach. `message` says why the backend only observes, and is None if it enforces."""

    object_name: str
    backend: Backend
    message: str | None


def obstacle(node: Node, *, bpffs: Path, cgroup_root: Path, agent_uid: int) -> str | None:
    """Return one sentence with the reason why nothing can be attached to this node, or None."""
    return (
        _kernel_obstacle(node)
        or cgroup_obstacle(node, cgroup_root)
        or file_system_obstacle(node, bpffs)
        or tool_obstacle(node)
        or _capability_obstacle(node, agent_uid)
    )


def decide(node: Node, refusal: str | None) -> Plan:
    """Choose the object to attach. `refusal` says why the module was not loaded, and is None if it was not tried."""
    if node.hook is not Hook.NONE:
        return Plan(FULL, Backend.EVALUATE_TASK, None)
    return Plan(OBSERVE, Backend.OBSERVE_ONLY, refusal or _NO_HOOK)


def without_proof(proof: Proof) -> Plan:
    """Return the plan for a node on which the proof has failed."""
    message = f"the proof failed, so this loader attached no program that decides: {proof.message}"
    return Plan(OBSERVE, Backend.OBSERVE_ONLY, message)


def needed(node: Node, agent_uid: int) -> tuple[str, ...]:
    """Return the capabilities that a load on this node takes.

    Linux 6.12 and 7.3 find a module's BTF by iterating over all BTF ids, which takes SYS_ADMIN. For functions of the
    kernel itself BPF and PERFMON are enough. CHOWN gives pins to the agent, and DAC_OVERRIDE opens them at the next
    attach.
    """
    load = ("SYS_ADMIN",) if node.hook is Hook.MODULE or "SYS_ADMIN" in node.capabilities else ("BPF", "PERFMON")
    return load if node.uid == agent_uid else (*load, "CHOWN", "DAC_OVERRIDE")


def _kernel_obstacle(node: Node) -> str | None:
    if not node.btf:
        return NO_BTF
    # security/lockdown/lockdown.c, LOCKDOWN_BPF_READ_KERNEL: the weaker mode, integrity, lets BPF read.
    if node.lockdown == "confidentiality":
        return (
            "the kernel is locked down (confidentiality), and BPF programs may not read its memory: nothing can be "
            "attached, not even with a signed module; boot with lockdown=integrity, or without lockdown"
        )
    if not node.ftrace:
        return (
            "kernel.ftrace_enabled=0: the kernel calls no attached program, so this loader attached nothing; "
            "run sysctl kernel.ftrace_enabled=1 and start the loader again"
        )
    return None


def cgroup_obstacle(node: Node, cgroup_root: Path) -> str | None:
    """Return one sentence if the cgroup tree is not v2 with the memory controller, or None."""
    if node.cgroup is Cgroup.HYBRID:
        return f"{cgroup_root} is hybrid: cgroup v1 has the controllers; boot with systemd.unified_cgroup_hierarchy=1"
    if node.cgroup is Cgroup.OTHER:
        return f"cgroup v2 is not mounted at {cgroup_root}"
    if not node.memory_controller:
        return f"cgroup v2 at {cgroup_root} has no memory controller: see cgroup_disable on the kernel's command line"
    return None


def file_system_obstacle(node: Node, bpffs: Path) -> str | None:
    """Return one sentence if no program can be pinned in the folder `bpffs`, or None."""
    return None if node.bpffs else f"no BPF file system is mounted above {bpffs}: mount -t bpf bpf /sys/fs/bpf"


def tool_obstacle(node: Node) -> str | None:
    """Return one sentence if there is no bpftool that can attach programs, or None."""
    if node.bpftool is Tool.MISSING:
        return "bpftool is not installed"
    if node.bpftool is Tool.OLD:
        return "this bpftool cannot attach programs (prog loadall ... autoattach): 7.5 or newer is needed"
    return None


def _capability_obstacle(node: Node, agent_uid: int) -> str | None:
    wanted = needed(node, agent_uid)
    missing = [name for name in wanted if name not in node.capabilities]
    if not missing:
        return None
    where = "the hook is in a module" if node.hook is Hook.MODULE else "the programs attach to the kernel itself"
    return f"the loader lacks {_listed(missing)}: {where}, which takes {_listed(wanted)}"


def _listed(names: list[str] | tuple[str, ...]) -> str:
    return ", ".join(f"CAP_{name}" for name in names)

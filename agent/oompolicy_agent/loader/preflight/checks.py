# SPDX-License-Identifier: Apache-2.0
"""Decide about each fact: the rows of `preflight`. Pure."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from oompolicy_agent.kernel.attachment import BYPASSES
from oompolicy_agent.loader import plan
from oompolicy_agent.loader.hook import Hook
from oompolicy_agent.loader.preflight.check import Check, Verdict, Way, row, ways
from oompolicy_agent.loader.preflight.collect import REDIRECTED, REGISTER
from oompolicy_agent.loader.preflight.modulechecks import module_checks, refusals

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from oompolicy_agent.loader.preflight.facts import Facts

OLDEST: Final = (5, 10)
"""The oldest kernel that the programs are written for."""
MODULE_SINCE: Final = (6, 3)
"""The first Linux with all that the module needs. Distributions bring newer functions into older kernels."""
MACHINES: Final = ("x86_64", "aarch64")
MAPS_SINCE: Final = (5, 19)
"""The first Linux in which the owner of a map may open it without CAP_BPF."""


def checks(facts: Facts) -> tuple[Check, ...]:
    """Return all rows, in the order of the table."""
    rows = (*_kernel(facts), *module_checks(facts), *refusals(facts), *_node(facts), *_process(facts))
    needless = _needless(facts)
    relevant = tuple(
        replace(each, verdict=Verdict.NOTE) if each.verdict is Verdict.NO and each.ways <= needless else each
        for each in rows
    )
    return (*relevant, *_installation(facts), *_victims(facts, relevant))


def _needless(facts: Facts) -> frozenset[Way]:
    """Return the ways that this node does not need to enforce."""
    if facts.node.hook is not Hook.NONE or not facts.load:
        return ways(Way.LOAD, Way.BUILD)
    return ways(Way.BUILD) if facts.offered else frozenset()


def _kernel(facts: Facts) -> Iterator[Check]:
    yield _version(facts)
    yield _arch(facts)
    node = facts.node
    yield row("BTF", "vmlinux", "missing", None if node.btf else plan.NO_BTF, Way.ATTACH, Way.LOAD)
    yield _hook(facts)


def _version(facts: Facts) -> Check:
    release = facts.node.kernel_version
    old = f"this kernel is older than {OLDEST[0]}.{OLDEST[1]}, which is not supported"
    return row("kernel", release, release, None if number(release) >= OLDEST else old, *Way)


def number(release: str) -> tuple[int, ...]:
    """Return the first two numbers of a kernel's release."""
    return tuple(int(each) for each in release.split("-", 1)[0].split(".")[:2] if each.isdecimal())


def _arch(facts: Facts) -> Check:
    other = None if facts.machine in MACHINES else "the programs are built for x86_64 and aarch64 only"
    return row("architecture", facts.machine, facts.machine, other, Way.ATTACH)


def _hook(facts: Facts) -> Check:
    found = facts.node.hook
    if found is not Hook.NONE:
        return Check("hook", "in the kernel" if found is Hook.KERNEL else "in the loaded module")
    if obstacle := _no_module_can_add_it(facts):
        return Check("hook", "none", Verdict.NO, obstacle, ways(Way.LOAD))
    if number(facts.node.kernel_version) < MODULE_SINCE:
        tried = f"only a module can add it, which was never tried before Linux {MODULE_SINCE[0]}.{MODULE_SINCE[1]}"
        return Check("hook", "none", Verdict.NOTE, tried)
    return Check("hook", "none", Verdict.NOTE, "only a module can add it")


def _no_module_can_add_it(facts: Facts) -> str | None:
    if not facts.node.btf:
        return plan.NO_BTF
    if REGISTER not in facts.functions:
        return f"this kernel takes no hook from a module: it has no {REGISTER}()"
    if REDIRECTED not in facts.functions:
        return f"the compiler inlined {REDIRECTED}(), which the module has to redirect"
    return None


def _node(facts: Facts) -> Iterator[Check]:
    node = facts.node
    off = None if node.ftrace else "the kernel calls no attached program: run sysctl kernel.ftrace_enabled=1"
    yield row("kernel.ftrace_enabled", "1", "0", off, Way.ATTACH, Way.LOAD)
    tree = plan.cgroup_obstacle(node, facts.cgroup_root)
    yield row("cgroup", "v2 with memory", node.cgroup.value, tree, Way.ATTACH, Way.SCORES, Way.LOG)
    pins = plan.file_system_obstacle(node, facts.bpffs)
    yield row("bpffs", "mounted", "missing", pins, Way.ATTACH)
    yield row("bpftool", "installed", node.bpftool.value, plan.tool_obstacle(node), Way.ATTACH)
    if facts.psi:
        yield Check("PSI", "yes")
    else:
        yield Check("PSI", "no", Verdict.NOTE, "the adjuster looks at the node by its clock only")
    for name, value in facts.sysctls.items():
        if value in {"", "0"}:
            yield Check(name, value or "unknown")
        else:
            yield Check(name, value, Verdict.NOTE, BYPASSES[name])
    if facts.swap_mib:
        yield Check(
            "swap", f"{facts.swap_mib} MiB", Verdict.NOTE, "an OOM comes only after the swap is full, and slowly"
        )
    else:
        yield Check("swap", "none")


def _process(facts: Facts) -> Iterator[Check]:
    inside = "no capability of this process counts for the kernel: a rootless node can only be watched from outside"
    yield row("user namespace", "of the host", "its own", inside if facts.user_namespace else None, *Way)
    held = facts.node.capabilities
    # `attach` runs as root, whichever user runs this.
    wanted = set(plan.needed(replace(facts.node, uid=0), facts.agent_uid))
    if facts.node.hook is Hook.NONE and facts.load:
        wanted |= {"SYS_ADMIN", "SYS_MODULE"}
        wanted -= {"BPF", "PERFMON"}
    missing = ", ".join(f"CAP_{name}" for name in sorted(wanted - held))
    found = ", ".join(sorted(held)) or "none"
    if missing:
        yield Check("capabilities", found, Verdict.NOTE, f"preflight needs none; attach also needs {missing}")
    else:
        yield Check("capabilities", found)


def _installation(facts: Facts) -> Iterator[Check]:
    """Yield the rows about what this installation leaves out, whatever the node can do."""
    if not facts.load:
        yield Check("module", "not used", Verdict.NO, "this installation loads no module", ways(Way.LOAD))
    if not facts.adjuster:
        yield Check(
            "adjuster", "not used", Verdict.NO, "no adjuster writes scores in this installation", ways(Way.SCORES)
        )


def _victims(facts: Facts, rows: Sequence[Check]) -> Iterator[Check]:
    """Yield the rows about the source of victims on a node where no program can report them."""
    sysctl = facts.unprivileged_bpf
    if number(facts.node.kernel_version) < MAPS_SINCE and sysctl not in {"", "0"}:
        closed = f"this kernel opens no BPF map for the agent: kernel.unprivileged_bpf_disabled={sysctl}"
        yield Check("BPF maps", "closed", Verdict.NOTE, closed)
    elif not any(each.verdict is Verdict.NO and Way.ATTACH in each.ways for each in rows):
        return
    if not facts.kernel_log:
        unread = "this installation does not read it, so this node reports no victim: set kernelLog.enabled"
        yield Check("kernel log", "not read", Verdict.NO, unread, ways(Way.LOG))
    elif not facts.log_times:
        useless = "its kills cannot be told apart, so this node reports no victim: set printk.time=1"
        yield Check("kernel log", "without times", Verdict.NO, useless, ways(Way.LOG))
    else:
        yield Check("kernel log", "read", Verdict.NOTE, "victims come from it, and no BPF program reports them")

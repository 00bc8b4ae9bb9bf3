# SPDX-License-Identifier: Apache-2.0
"""The object that the loader attaches to a node, or the reason why it attaches none."""

from dataclasses import replace
from pathlib import Path

import pytest

from oompolicy_agent.kernel.backend import Backend
from oompolicy_agent.loader import plan
from oompolicy_agent.loader.bpftool import Tool
from oompolicy_agent.loader.hook import Hook
from oompolicy_agent.loader.node import Cgroup, Node
from oompolicy_agent.loader.plan import Plan

AGENT = 41317
GOOD = Node(
    kernel_version="6.12.107",
    boot_id="boot",
    btf=True,
    hook=Hook.MODULE,
    ftrace=True,
    lockdown="integrity",
    cgroup=Cgroup.V2,
    memory_controller=True,
    bpffs=True,
    bpftool=Tool.GOOD,
    uid=0,
    capabilities=frozenset({"SYS_ADMIN", "CHOWN", "DAC_OVERRIDE"}),
)


def obstacle(node: Node) -> str | None:
    return plan.obstacle(node, bpffs=Path("/pins"), cgroup_root=Path("/cgroups"), agent_uid=AGENT)


def test_a_good_node_has_no_obstacle() -> None:
    assert obstacle(GOOD) is None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"btf": False}, "no BTF"),
        ({"lockdown": "confidentiality"}, "locked down (confidentiality), and BPF programs may not read its memory"),
        ({"ftrace": False}, "run sysctl kernel.ftrace_enabled=1"),
        ({"cgroup": Cgroup.HYBRID}, "/cgroups is hybrid: cgroup v1"),
        ({"cgroup": Cgroup.OTHER}, "cgroup v2 is not mounted at /cgroups"),
        ({"memory_controller": False}, "no memory controller"),
        ({"bpffs": False}, "no BPF file system is mounted above /pins"),
        ({"bpftool": Tool.MISSING}, "bpftool is not installed"),
        ({"bpftool": Tool.OLD}, "cannot attach programs"),
        ({"capabilities": frozenset()}, "lacks CAP_SYS_ADMIN, CAP_CHOWN, CAP_DAC_OVERRIDE"),
    ],
)
def test_a_missing_requirement_is_reported_in_one_sentence(change: dict[str, object], words: str) -> None:
    sentence = obstacle(replace(GOOD, **change))  # type: ignore[arg-type]

    assert sentence is not None
    assert words in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize("hook", [Hook.KERNEL, Hook.MODULE])
def test_a_node_with_the_hook_gets_the_full_object(hook: Hook) -> None:
    """If there is a hook, a refused module does not matter."""
    decided = plan.decide(replace(GOOD, hook=hook), "refused")

    assert Plan(plan.FULL, Backend.EVALUATE_TASK, None) == decided


def test_a_node_without_a_hook_observes_and_has_the_reason() -> None:
    decided = plan.decide(replace(GOOD, hook=Hook.NONE), "the module was refused")

    assert Plan(plan.OBSERVE, Backend.OBSERVE_ONLY, "the module was refused") == decided


def test_without_hook_and_module_the_reason_is_the_kernel() -> None:
    assert "no hook" in (plan.decide(replace(GOOD, hook=Hook.NONE), None).message or "")


@pytest.mark.parametrize(
    ("hook", "held", "expected"),
    [
        (Hook.MODULE, {"BPF", "PERFMON"}, ("SYS_ADMIN",)),
        (Hook.KERNEL, {"BPF", "PERFMON"}, ("BPF", "PERFMON")),
        (Hook.NONE, set(), ("BPF", "PERFMON")),
        (Hook.KERNEL, {"SYS_ADMIN"}, ("SYS_ADMIN",)),
    ],
)
def test_a_hook_in_a_module_takes_sys_admin(hook: Hook, held: set[str], expected: tuple[str, ...]) -> None:
    node = replace(GOOD, hook=hook, capabilities=frozenset(held))

    assert (*expected, "CHOWN", "DAC_OVERRIDE") == plan.needed(node, AGENT)


def test_pins_that_stay_the_loaders_take_no_more_capabilities() -> None:
    assert plan.needed(GOOD, GOOD.uid) == ("SYS_ADMIN",)

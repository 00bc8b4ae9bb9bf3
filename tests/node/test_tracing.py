# SPDX-License-Identifier: Apache-2.0
"""The policy still applies while a tracer uses the kernel's functions, and ftrace calls the hook from a list."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from oompolicy_agent.kernel.layout import VictimFlag
from tests.node import in_process
from tests.node.policy import MODULE, STOCK, flags
from tests.node.test_order import cgroup_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.node.conftest import Pod
    from tests.node.machine import Node
    from tests.node.policy import Policy

TRACING = Path("/sys/kernel/tracing")
CPUS = Path("/sys/devices/system/cpu")
HOOKED = "oom_evaluate_task bpf_oom_evaluate_task bpf_set_policy_name out_of_memory dump_header"
EVERYTHING = ""


@pytest.fixture(
    params=[
        ("function", HOOKED),
        ("function_graph", HOOKED),
        # The module's own callback runs inside a traced function. A kernel with the hook built in has no such callback.
        pytest.param(("function", EVERYTHING), marks=pytest.mark.module),
    ]
)
def traced(request: pytest.FixtureRequest, node: Node, policy: Policy) -> Iterator[Policy]:
    """Yield the policy with a tracer on the functions that the module uses, or on every function of the kernel."""
    tracer, functions = request.param
    if functions == EVERYTHING:
        one_cpu(node)
    (TRACING / "set_ftrace_filter").write_text(functions)
    (TRACING / "current_tracer").write_text(tracer)
    yield policy
    (TRACING / "current_tracer").write_text("nop")
    (TRACING / "set_ftrace_filter").write_text(EVERYTHING)


def one_cpu(node: Node) -> None:
    """Keep one CPU online, so that no code runs while it is changed. An emulated CPU once hit an old breakpoint."""
    for online in CPUS.glob("cpu[1-9]*/online"):
        node.write(str(online), 0)


def callbacks(function: str, place: str = r"(?:\[oompolicy_hook\] )?") -> int:
    """Return the number of ftrace callbacks at this function's entry, in the kernel or in our module."""
    found = re.search(rf"^{function} {place}\((\d+)\)", (TRACING / "enabled_functions").read_text(), re.MULTILINE)
    return int(found[1]) if found else 0


@pytest.mark.parametrize(("priorities", "victim"), [((100, 200), 0), ((200, 100), 1)])
def test_the_policy_applies_while_the_kernel_is_traced(
    pod: Pod, traced: Policy, priorities: tuple[int, int], victim: int
) -> None:
    """ftrace uses a list that guards against recursion, and calls the hook from within that list."""
    hogs = [pod.hog("small", 12), pod.hog("big", 34)]
    traced.set({cgroup_of(hog): priority for hog, priority in zip(hogs, priorities, strict=True)})

    # The module's callback is at the kernel's function, the program's at the hook, and the tracer's at both.
    assert (2 if STOCK else 1, 2) == (callbacks("oom_evaluate_task"), callbacks("bpf_oom_evaluate_task"))
    assert hogs[victim] is pod.first_victim()


@pytest.fixture
def another_dump_header() -> Iterator[None]:
    """Load a module with a function of that name before our module."""
    in_process.detach()
    subprocess.run(["insmod", MODULE.with_name("samename.ko")], check=True)
    yield
    subprocess.run(["rmmod", "samename"], check=True)


@pytest.mark.module
def test_a_function_of_the_same_name_in_another_module_is_not_hooked(
    another_dump_header: None, pod: Pod, policy: Policy
) -> None:
    """The module hooks only the kernel's dump_header(), because only there the first argument is an `oom_control`."""
    assert another_dump_header is None
    hogs = [pod.hog("small", 12), pod.hog("big", 34)]
    policy.set({cgroup_of(hog): priority for hog, priority in zip(hogs, (100, 200), strict=True)})

    assert "dump_header [samename]\n" in (TRACING / "available_filter_functions").read_text()
    assert 0 == callbacks("dump_header", r"\[samename\] ")
    assert 1 == callbacks("dump_header")
    Path("/sys/module/samename/parameters/call").write_text("1")
    assert hogs[0] is pod.first_victim()


def test_turning_ftrace_off_is_refused_or_recorded(node: Node, pod: Pod, policy: Policy) -> None:
    """The kernel refuses to turn ftrace off while the module is loaded, and newer kernels always refuse it.

    Otherwise the record has the flag NO_SCOPE.
    """
    hogs = [pod.hog("small", 12), pod.hog("big", 34)]
    policy.set({cgroup_of(hog): priority for hog, priority in zip(hogs, (100, 200), strict=True)})
    refused = False
    try:
        node.sysctl("kernel.ftrace_enabled", 0)
    except OSError:
        refused = True

    assert refused or not STOCK
    victim = hogs[0] if refused else hogs[1]
    assert victim is pod.first_victim()
    assert refused != (VictimFlag.NO_SCOPE in flags(policy.record_of(victim)))

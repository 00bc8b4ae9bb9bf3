# SPDX-License-Identifier: Apache-2.0
"""Who is spared: host daemons, sandboxes, and what the kernel itself never takes."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from oompolicy_agent.kernel.layout import Stat
from tests.node.hog import KernelLog, run_out_of_memory
from tests.node.test_order import cgroup_of

if TYPE_CHECKING:
    from tests.node.conftest import Pod
    from tests.node.machine import Node
    from tests.node.policy import Policy

SANDBOX_ADJ = -998
"""Pause containers, pkg/kubelet/qos/policy.go."""


def test_host_daemon_outlives_every_pod(node: Node, policy: Policy) -> None:
    """A daemon without an entry stays, however big, while a pod with the highest priority below 1000 is there."""
    daemon = node.hog(node.cgroup("system.slice/sshd.service"), 60)
    pod = node.hog(node.cgroup("kubepods/pod"), 12)
    policy.set({cgroup_of(pod): 999})
    node.fill()

    assert pod is run_out_of_memory(node.hog(node.cgroup("system.slice/other.service"), 0), [daemon, pod])[0]


def test_sandbox_is_spared_while_anything_else_can_die(pod: Pod, policy: Policy) -> None:
    """A pause container outlives its pod's containers although its pod has the lowest priority."""
    pause = pod.hog("pause", 20, adj=SANDBOX_ADJ)
    app = pod.hog("app", 20)
    policy.set({cgroup_of(pause): 0, cgroup_of(app): 900})

    assert app is pod.first_victim()


def test_sandbox_is_spared_whatever_comes_first_in_the_scan(pod: Pod, policy: Policy) -> None:
    """The same with the application looked at before the sandbox."""
    app = pod.hog("app", 20)
    pause = pod.hog("pause", 20, adj=SANDBOX_ADJ)
    policy.set({cgroup_of(pause): 0, cgroup_of(app): 900})

    assert app is pod.first_victim()


def test_minus_1000_is_never_chosen(pod: Pod, policy: Policy) -> None:
    """oom_score_adj -1000 is the kernel's own word, and no priority overrules it."""
    never, other = pod.hog("never", 34, adj=-1000), pod.hog("other", 12)
    policy.set({cgroup_of(never): 0, cgroup_of(other): 999})

    assert other is pod.first_victim()
    assert never.alive


@pytest.mark.parametrize("adj", [-998, -999])
def test_one_dies_when_everyone_is_protected(pod: Pod, policy: Policy, adj: int) -> None:
    """A protected task dies, the lowest priority first, when nobody else is left."""
    hogs = [pod.hog("a", 16, adj=adj), pod.hog("b", 16, adj=adj)]
    policy.set({cgroup_of(hogs[0]): 300, cgroup_of(hogs[1]): 200})
    trigger = pod.node.hog(pod.cgroup.child("trigger"), 0, adj=-1000)

    assert hogs[1] is run_out_of_memory(trigger, hogs)[0]


def test_node_with_only_protected_tasks_does_not_panic(node: Node, policy: Policy) -> None:
    """On the whole node too: one protected task dies and the machine goes on."""
    hogs = [node.hog(node.cgroup("pods/a"), 30, adj=SANDBOX_ADJ), node.hog(node.cgroup("pods/b"), 30, adj=SANDBOX_ADJ)]
    policy.set({cgroup_of(hogs[0]): 900, cgroup_of(hogs[1]): 800})
    node.fill()

    assert hogs[1] is run_out_of_memory(node.hog(node.cgroup("pods/trigger"), 0, adj=SANDBOX_ADJ), hogs)[0]


def test_scan_that_chooses_nobody_is_counted_and_named(pod: Pod, policy: Policy) -> None:
    """All at -1000 in a limit: the kernel kills nobody, and the tracepoint says so."""
    before = policy.stat(Stat.NOBODY)
    pod.hog("never", 40, adj=-1000)
    trigger = pod.node.hog(pod.cgroup.child("trigger"), 0, adj=-1000)
    with closing(KernelLog()) as log:
        trigger.ask_to_grow(40)
        while "no killable processes" not in log.line():
            continue

    assert policy.stat(Stat.NOBODY) > before
    assert trigger.alive


def test_task_that_the_kernel_refuses_leaves_the_choice_as_it_was(pod: Pod, policy: Policy) -> None:
    """A child of vfork() has the lowest priority and cannot be killed for its parent's memory.

    It is looked at between two of equal priority, so the second is measured against the first's badness or against
    whatever was left behind by the child.
    """
    big = pod.hog("big", 34)
    parent = pod.hog("parent", 4, options=["--vfork", str(pod.cgroup.child("child").path)])
    small = pod.hog("small", 12)
    policy.set({cgroup_of(big): 200, cgroup_of(parent): 900, pod.cgroup.child("child"): 100, cgroup_of(small): 200})

    assert big is pod.first_victim()
    assert parent.alive

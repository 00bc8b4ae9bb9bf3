# SPDX-License-Identifier: Apache-2.0
"""The spared processes: host daemons, sandboxes, and tasks that the kernel itself never kills."""

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
"""The oom_score_adj of pause containers in pkg/kubelet/qos/policy.go."""


def test_host_daemon_outlives_every_pod(node: Node, policy: Policy) -> None:
    """A big daemon without an entry survives while a pod with a priority below 1000 is there."""
    daemon = node.hog(node.cgroup("system.slice/sshd.service"), 60)
    pod = node.hog(node.cgroup("kubepods/pod"), 12)
    policy.set({cgroup_of(pod): 999})
    node.fill()

    assert pod is run_out_of_memory(node.hog(node.cgroup("system.slice/other.service"), 0), [daemon, pod])[0]


def test_sandbox_is_spared_while_another_task_can_die(pod: Pod, policy: Policy) -> None:
    """A pause container outlives its pod's containers although its pod has the lowest priority."""
    pause = pod.hog("pause", 20, adj=SANDBOX_ADJ)
    app = pod.hog("app", 20)
    policy.set({cgroup_of(pause): 0, cgroup_of(app): 900})

    assert app is pod.first_victim()


def test_sandbox_is_spared_if_the_scan_checks_it_last(pod: Pod, policy: Policy) -> None:
    """The application dies as well if the scan checks it before the sandbox."""
    app = pod.hog("app", 20)
    pause = pod.hog("pause", 20, adj=SANDBOX_ADJ)
    policy.set({cgroup_of(pause): 0, cgroup_of(app): 900})

    assert app is pod.first_victim()


def test_a_task_with_oom_score_adj_minus_1000_is_never_chosen(pod: Pod, policy: Policy) -> None:
    """The kernel never kills a task with oom_score_adj -1000, and no priority overrules that."""
    never, other = pod.hog("never", 34, adj=-1000), pod.hog("other", 12)
    policy.set({cgroup_of(never): 0, cgroup_of(other): 999})

    assert other is pod.first_victim()
    assert never.alive


@pytest.mark.parametrize("adj", [-998, -999])
def test_a_protected_task_dies_if_all_tasks_are_protected(pod: Pod, policy: Policy, adj: int) -> None:
    """If all tasks are protected, the protected task with the lowest priority dies."""
    hogs = [pod.hog("a", 16, adj=adj), pod.hog("b", 16, adj=adj)]
    policy.set({cgroup_of(hogs[0]): 300, cgroup_of(hogs[1]): 200})
    trigger = pod.node.hog(pod.cgroup.child("trigger"), 0, adj=-1000)

    assert hogs[1] is run_out_of_memory(trigger, hogs)[0]


def test_node_with_only_protected_tasks_does_not_panic(node: Node, policy: Policy) -> None:
    """One protected task dies on the whole node, and the machine goes on."""
    hogs = [node.hog(node.cgroup("pods/a"), 30, adj=SANDBOX_ADJ), node.hog(node.cgroup("pods/b"), 30, adj=SANDBOX_ADJ)]
    policy.set({cgroup_of(hogs[0]): 900, cgroup_of(hogs[1]): 800})
    node.fill()

    assert hogs[1] is run_out_of_memory(node.hog(node.cgroup("pods/trigger"), 0, adj=SANDBOX_ADJ), hogs)[0]


def test_a_scan_without_a_victim_is_counted_and_logged(pod: Pod, policy: Policy) -> None:
    """If all tasks of a limit have -1000, the kernel kills none and logs that, and the policy's counter grows."""
    before = policy.stat(Stat.NOBODY)
    pod.hog("never", 40, adj=-1000)
    trigger = pod.node.hog(pod.cgroup.child("trigger"), 0, adj=-1000)
    with closing(KernelLog()) as log:
        trigger.ask_to_grow(40)
        while "no killable processes" not in log.line():
            continue

    assert policy.stat(Stat.NOBODY) > before
    assert trigger.alive


def test_a_task_that_the_kernel_refuses_does_not_change_the_choice(pod: Pod, policy: Policy) -> None:
    """The kernel cannot kill a child of vfork() with the lowest priority for the memory of its parent.

    The scan checks the child between two tasks of equal priority. So the kernel compares the second one with the
    badness of the first one, and not with a value that the child left behind. The order holds for further victims too.
    """
    big = pod.hog("big", 34)
    parent = pod.hog("parent", 4, options=["--vfork", str(pod.cgroup.child("child").path)])
    small = pod.hog("small", 12)
    policy.set({cgroup_of(big): 200, cgroup_of(parent): 900, pod.cgroup.child("child"): 100, cgroup_of(small): 200})

    dead = pod.run_out_of_memory()
    assert [big, small, parent][: len(dead)] == dead

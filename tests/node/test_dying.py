# SPDX-License-Identifier: Apache-2.0
"""A victim that has not died yet is waited for."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING

from tests.node.hog import Hog, KernelLog, oom_kills
from tests.node.test_order import cgroup_of

if TYPE_CHECKING:
    from tests.node.conftest import Pod
    from tests.node.machine import Node
    from tests.node.policy import Policy


class Spinner(Hog):
    """Leaves nothing of one CPU to anybody else, a dying process included."""

    def __init__(self, cpu: int) -> None:
        super().__init__(None, 0, options=["--spin", str(cpu)])


def starve(node: Node) -> None:
    """Let a `Spinner` have all of CPU 1, and ourselves be elsewhere."""
    assert (os.cpu_count() or 0) >= 2
    node.affinity({0})
    node.sysctl("kernel.sched_rt_runtime_us", -1)
    # Since Linux kernel commit 557a6bfc662c ("sched/fair: Add trivial fair server") (in v6.12) a CPU's fair tasks
    # have a twentieth of it whatever the real-time tasks want.
    node.write("/sys/kernel/debug/sched/fair_server/cpu1/runtime", 0)


def test_slow_victim_is_not_joined_by_a_second(node: Node, pod: Pod, policy: Policy) -> None:
    """While the victim cannot run to its end, nobody else dies for the same shortage."""
    starve(node)
    slow = pod.hog("slow", 30, options=["--cpu", "1"])
    others = [pod.hog(f"other{index}", 8) for index in range(2)]
    policy.set({cgroup_of(slow): 100, cgroup_of(others[0]): 200, cgroup_of(others[1]): 300})
    trigger = node.hog(pod.cgroup.child("trigger"), 0)
    spinner = node.adopt(Spinner(1))
    before = oom_kills()
    with closing(KernelLog()) as log:
        while oom_kills() == before:
            assert trigger.grow(2)
        assert slow.pid == log.victim()

    assert slow.alive, "the victim was meant to be kept from dying"
    assert 1 == oom_kills() - before
    assert all(other.alive for other in others)
    spinner.end()
    assert slow.was_killed()

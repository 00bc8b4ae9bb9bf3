# SPDX-License-Identifier: Apache-2.0
"""A victim that has not died yet is waited for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from tests.node.hog import PROGRAM, Hog, oom_kills
from tests.node.test_order import cgroup_of

if TYPE_CHECKING:
    from tests.node.conftest import Node, Pod
    from tests.node.policy import Policy


class Spinner(Hog):
    """Leaves nothing of one CPU to anybody else, a dying process included."""

    def __init__(self, cpu: int) -> None:
        super().__init__(None, 0, options=["--spin", str(cpu)])


def test_slow_victim_is_not_joined_by_a_second(node: Node, pod: Pod, policy: Policy) -> None:
    """While the victim cannot run to its end, nobody else dies for the same shortage."""
    assert PROGRAM.exists()
    assert (os.cpu_count() or 0) >= 2
    os.sched_setaffinity(0, {0})
    node.sysctl("kernel.sched_rt_runtime_us", -1)
    slow = pod.hog("slow", 30, options=["--cpu", "1"])
    others = [pod.hog(f"other{index}", 8) for index in range(2)]
    policy.set({cgroup_of(slow): 100, cgroup_of(others[0]): 200, cgroup_of(others[1]): 300})
    spinner = Spinner(1)
    before = oom_kills()
    try:
        assert [slow] == pod.run_out_of_memory()
    finally:
        spinner.end()
        os.sched_setaffinity(0, range(os.cpu_count() or 1))

    assert 1 == oom_kills() - before
    assert all(other.alive for other in others)

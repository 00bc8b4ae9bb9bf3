# SPDX-License-Identifier: Apache-2.0
"""memory.oom.group: Kubernetes sets it on containers, so one choice kills the whole container."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from oompolicy_agent.kernel.layout import VictimFlag
from tests.node.policy import flags, victims
from tests.node.running_agent import wait_until
from tests.node.test_order import cgroup_of

if TYPE_CHECKING:
    from tests.node.conftest import Pod
    from tests.node.machine import Node
    from tests.node.policy import Policy


def test_every_member_of_a_group_is_reported(pod: Pod, policy: Policy) -> None:
    """All processes of the chosen container die, each with a record. The flag GROUP marks all but the chosen one."""
    container = pod.cgroup.child("group", memory__oom__group=1)
    members = [pod.hog("group", mib) for mib in (4, 8, 6)]
    other = pod.hog("other", 28)
    policy.set({container: 100, cgroup_of(other): 200})

    dead = pod.run_out_of_memory()

    assert {member.pid for member in members} == {hog.pid for hog in dead[:3]}
    reported = policy.records()
    assert [hog.pid for hog in dead] == victims(reported)
    records = {record.victim_tgid: flags(record) for record in reported}
    assert [False, True, True] == [VictimFlag.GROUP in found for found in records.values()][:3]


def test_group_of_higher_priority_is_spared(pod: Pod, policy: Policy) -> None:
    """Several processes in a container do not make it a victim: the container with the lower priority dies."""
    container = pod.cgroup.child("group", memory__oom__group=1)
    for _ in range(2):
        pod.hog("group", 14)
    other = pod.hog("other", 12)
    policy.set({container: 900, cgroup_of(other): 100})

    assert other is pod.first_victim()


@pytest.mark.parametrize("round_", range(4))
def test_process_of_many_threads_is_one_victim_of_its_group(pod: Pod, policy: Policy, round_: int) -> None:
    """One record names the process, even if its first thread has exited and the kernel marks another thread."""
    container = pod.cgroup.child("group", memory__oom__group=1)
    victim = pod.hog("group", 30)
    policy.set({container: 100})
    victim.rush(40, 4)

    assert victim.was_killed(), f"round {round_}"
    assert [victim.pid] == victims(policy.records())


def test_no_spared_task_is_reported_for_a_large_group(node: Node, policy: Policy) -> None:
    """The policy does not change the choice, so no record has a spared task.

    The kernel lets go of the chosen task long before the whole group has died.
    """
    pod = node.cgroup("pod", memory__max=200 << 20)
    container = pod.child("group", memory__oom__group=1)
    chosen = node.hog(container, 90, options=["--leaderless", "--crowd", "600"])
    policy.set({container: 100})
    # New processes reuse the kernel's memory for the chosen task as soon as it is free.
    node.hog(node.cgroup("other"), 0, options=["--churn"])
    # The trigger is smaller than the chosen task when memory runs out.
    node.hog(pod.child("trigger"), 0).ask_to_grow(110)

    assert chosen.was_killed()
    wait_until("the group has died", lambda: not container.pids())
    records = policy.records()
    assert len(records) >= 600
    assert [] == [record.spared_tgid for record in records if VictimFlag.CHANGED in flags(record)]
    assert {chosen.pid} == {record.victim_tgid for record in records if VictimFlag.GROUP not in flags(record)}


def test_a_task_that_dies_with_the_group_is_not_reported_as_spared(pod: Pod, policy: Policy) -> None:
    """The kernel alone would have chosen the bigger of two containers, but the pod dies as a whole in any case."""
    pod.cgroup.write("memory.oom.group", 1)
    small, big = pod.hog("small", 12), pod.hog("big", 34)
    policy.set({cgroup_of(small): 100, cgroup_of(big): 200})

    assert {small, big} <= set(pod.run_out_of_memory())
    assert [] == [record.spared_tgid for record in policy.records() if VictimFlag.CHANGED in flags(record)]


def test_only_the_group_of_the_victim_counts_for_the_spared_task(pod: Pod, policy: Policy) -> None:
    """The trigger is the last task of the scan. It is in the scope, and in no group."""
    group = pod.cgroup.child("group", memory__oom__group=1)
    small, big = pod.hog("group/small", 12), pod.hog("group/big", 34)
    policy.set({cgroup_of(small): 100, cgroup_of(big): 200})

    assert {small, big} <= set(pod.run_out_of_memory())
    assert not group.pids()
    assert [] == [record.spared_tgid for record in policy.records() if VictimFlag.CHANGED in flags(record)]

# SPDX-License-Identifier: Apache-2.0
"""A scan waits for the memory of the last victim, once and for a short time."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from oompolicy_agent.kernel.layout import KernelMode, Stat
from tests.node.hog import KernelLog
from tests.node.test_dying import Spinner, occupy_cpu_1
from tests.node.test_order import cgroup_of

if TYPE_CHECKING:
    from tests.node.conftest import Pod
    from tests.node.machine import Node
    from tests.node.policy import Policy


@pytest.mark.parametrize("mode", [KernelMode.ENFORCE, KernelMode.AUDIT, KernelMode.OFF])
def test_a_victim_that_keeps_its_memory_holds_up_the_next_kill_once(
    node: Node, pod: Pod, policy: Policy, mode: KernelMode
) -> None:
    """The first victim cannot run, and the reaper cannot take shared memory. After a short wait the next one dies.

    In Audit and Off the kernel does not wait.
    """
    occupy_cpu_1(node)
    stuck = pod.hog("stuck", 30, options=["--cpu", "1", "--shared"])
    low = pod.hog("low", 12)
    policy.set({cgroup_of(stuck): 100, cgroup_of(low): 200})
    policy.set_mode(mode)
    trigger = node.hog(pod.cgroup.child("trigger"), 0, adj=-1000)
    spinner = node.adopt(Spinner(1))
    waits = policy.stat(Stat.WAITS)
    with closing(KernelLog()) as log:
        assert trigger.grow(28)
        assert [stuck.pid, low.pid] == [log.victim(), log.victim()]

    assert stuck.alive, "the first victim should have been unable to run to its end"
    assert (policy.stat(Stat.WAITS) > waits) == (mode is KernelMode.ENFORCE)
    spinner.end()
    assert stuck.was_killed()


def test_a_group_that_dies_together_is_waited_for_until_the_most_of_its_memory_is_back(
    node: Node, pod: Pod, policy: Policy
) -> None:
    """The kernel marks the small process last. Its memory is back at once, and that of the big one is not."""
    occupy_cpu_1(node)
    group = pod.cgroup.child("group")
    stuck = node.hog(group, 30, options=["--cpu", "1", "--shared"])
    helper = node.hog(group, 1)
    group.write("memory.oom.group", 1)
    low = pod.hog("low", 12)
    policy.set({group: 100, cgroup_of(low): 200})
    trigger = node.hog(pod.cgroup.child("trigger"), 0, adj=-1000)
    spinner = node.adopt(Spinner(1))
    waits = policy.stat(Stat.WAITS)
    with closing(KernelLog()) as log:
        assert trigger.grow(28)
        # The kernel names a member of the group again when it kills the group.
        assert {stuck.pid, helper.pid} == set(iter(log.victim, low.pid))

    assert helper.was_killed()
    assert stuck.alive, "the process should have been unable to run to its end"
    assert policy.stat(Stat.WAITS) > waits
    spinner.end()
    assert stuck.was_killed()


def test_a_kill_in_another_scope_does_not_end_the_wait(node: Node, pod: Pod, policy: Policy) -> None:
    """Two pods reach their limits at about the same time, and the first victim cannot run to its end."""
    occupy_cpu_1(node)
    stuck = pod.hog("stuck", 30, options=["--cpu", "1"])
    low = pod.hog("low", 12)
    trigger = node.hog(pod.cgroup.child("trigger"), 0, adj=-1000)
    place = node.cgroup("other", memory__max=64 << 20)
    other = node.hog(place.child("low"), 36)
    other_trigger = node.hog(place.child("trigger"), 0, adj=-1000)
    policy.set({cgroup_of(stuck): 100, cgroup_of(low): 200, cgroup_of(other): 200})
    spinner = node.adopt(Spinner(1))
    with closing(KernelLog()) as log:
        assert trigger.grow(24)
        assert stuck.pid == log.victim()
        assert other_trigger.grow(30)
        assert other.pid == log.victim()
        assert other.was_killed()
        waits = policy.stat(Stat.WAITS)
        assert trigger.grow(30)
        assert low.pid == log.victim()

    assert policy.stat(Stat.WAITS) > waits
    assert stuck.alive, "the first victim should have been unable to run to its end"
    spinner.end()
    assert stuck.was_killed()


@pytest.mark.parametrize("same", [True, False])
def test_only_the_scope_of_the_last_victim_waits(node: Node, pod: Pod, policy: Policy, same: bool) -> None:
    """The first victim cannot run to its end. The reaper takes enough of its memory, so its own OOM does not wait."""
    occupy_cpu_1(node)
    stuck = pod.hog("stuck", 30, options=["--cpu", "1"])
    low = pod.hog("low", 12)
    trigger = node.hog(pod.cgroup.child("trigger"), 0, adj=-1000)
    place = node.cgroup("other", memory__max=64 << 20)
    # This victim cannot run either. Otherwise its own OOM could wait for it.
    other = node.hog(place.child("low"), 36, options=["--cpu", "1"])
    other_trigger = node.hog(place.child("trigger"), 0, adj=-1000)
    policy.set({cgroup_of(stuck): 100, cgroup_of(low): 200, cgroup_of(other): 200})
    spinner = node.adopt(Spinner(1))
    waits = policy.stat(Stat.WAITS)
    with closing(KernelLog()) as log:
        assert trigger.grow(24)
        assert stuck.pid == log.victim()
        assert (True, waits) == (stuck.alive, policy.stat(Stat.WAITS))
        assert (trigger if same else other_trigger).grow(30)
        assert (low if same else other).pid == log.victim()

    assert same == (policy.stat(Stat.WAITS) > waits)
    assert stuck.alive, "the first victim should have been unable to run to its end"
    spinner.end()
    assert stuck.was_killed()

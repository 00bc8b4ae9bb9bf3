# SPDX-License-Identifier: Apache-2.0
"""The OOM killer waits for a process that has not died yet, and kills no other process in its place."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from oompolicy_agent.kernel.layout import KernelMode, Stat
from tests.node.hog import Hog, KernelLog, oom_kills
from tests.node.policy import victims
from tests.node.running_agent import wait_until
from tests.node.test_order import cgroup_of

if TYPE_CHECKING:
    from tests.node.conftest import Pod
    from tests.node.machine import Node
    from tests.node.policy import Policy

SYSRQ = Path("/proc/sysrq-trigger")


class Spinner(Hog):
    """A process that takes all the time of one CPU. Even a dying process cannot run there."""

    def __init__(self, cpu: int) -> None:
        super().__init__(None, 0, options=["--spin", str(cpu)])


def occupy_cpu_1(node: Node) -> None:
    """Give all of CPU 1 to a `Spinner`, and run this process on CPU 0."""
    assert (os.cpu_count() or 0) >= 2
    node.affinity({0})
    node.sysctl("kernel.sched_rt_runtime_us", -1)
    # Since Linux kernel commit 557a6bfc662c ("sched/fair: Add trivial fair server") (in v6.12) a CPU's fair tasks
    # have a twentieth of its time, even if real-time tasks want all of it.
    if (fair := Path("/sys/kernel/debug/sched/fair_server/cpu1/runtime")).exists():
        node.write(str(fair), 0)


def test_no_second_process_dies_while_the_victim_is_dying(node: Node, pod: Pod, policy: Policy) -> None:
    """While the victim cannot run to its end, no other process dies for the same shortage."""
    occupy_cpu_1(node)
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

    assert slow.alive, "the victim should have been unable to run to its end"
    assert 1 == oom_kills() - before
    assert all(other.alive for other in others)
    spinner.end()
    assert slow.was_killed()


def move_reaper_to_cpu_1(node: Node) -> None:
    """Move the kernel's OOM reaper to the CPU of a `Spinner`, so that it takes no memory of a dying process."""
    reaper = next(path for path in Path("/proc").glob("[0-9]*/comm") if path.read_text() == "oom_reaper\n")
    node.affinity({1}, int(reaper.parent.name))


@pytest.mark.parametrize("order", [("dying", "low"), ("low", "dying")])
@pytest.mark.parametrize("mode", [KernelMode.ENFORCE, KernelMode.OFF])
def test_no_process_is_killed_while_a_process_that_a_signal_killed_is_dying(
    node: Node, pod: Pod, policy: Policy, order: tuple[str, str], mode: KernelMode
) -> None:
    """No other process dies while the memory of a deleted pod with a high priority is about to become free.

    The kernel marks the dying process and does not kill it, so it has no record. That also holds in a mode in which
    the kernel alone chooses it.
    """
    occupy_cpu_1(node)
    sizes = {"dying": 30, "low": 8}
    hogs = {name: pod.hog(name, sizes[name], options=["--cpu", "1"] * (name == "dying")) for name in order}
    policy.set({cgroup_of(hogs["dying"]): 900, cgroup_of(hogs["low"]): 100})
    policy.set_mode(mode)
    trigger = node.hog(pod.cgroup.child("trigger"), 0)
    spinner = node.adopt(Spinner(1))
    kills, dying = oom_kills(), policy.stat(Stat.DYING)
    hogs["dying"].process.send_signal(signal.SIGKILL)
    # The kernel frees the memory of the dying process, and the trigger can use it.
    assert trigger.grow(34)

    assert policy.stat(Stat.DYING) > dying, "the scope should have run out of memory"
    assert hogs["dying"].alive, "this process should have been unable to run to its end"
    assert hogs["low"].alive
    assert kills == oom_kills()
    assert [] == policy.records()
    spinner.end()
    assert hogs["dying"].was_killed()


@pytest.mark.module
@pytest.mark.parametrize("users", [["--vhost"], ["--crowd", "3", "--vhost"]], ids=["process", "threads"])
def test_a_dying_owner_of_a_device_is_waited_for(node: Node, pod: Pod, policy: Policy, users: list[str]) -> None:
    """The device of a virtual machine uses the memory of its owner, and is no process that the kernel would kill."""
    subprocess.run(["modprobe", "vhost_vsock"], check=True)
    occupy_cpu_1(node)
    dying = pod.hog("dying", 30, options=["--cpu", "1", *users])
    low = pod.hog("low", 8)
    policy.set({cgroup_of(dying): 900, cgroup_of(low): 100})
    trigger = node.hog(pod.cgroup.child("trigger"), 0)
    spinner = node.adopt(Spinner(1))
    kills, marked = oom_kills(), policy.stat(Stat.DYING)
    dying.process.send_signal(signal.SIGKILL)
    assert trigger.grow(34)

    assert policy.stat(Stat.DYING) > marked, "the scope should have run out of memory"
    assert dying.alive, "this process should have been unable to run to its end"
    assert low.alive
    assert (kills, []) == (oom_kills(), policy.records())
    spinner.end()
    assert dying.was_killed()


def test_a_dying_process_without_its_first_thread_is_killed_again(node: Node, pod: Pod, policy: Policy) -> None:
    """The kernel checks the first thread to decide whether a process is dying, so it kills this process again."""
    occupy_cpu_1(node)
    dying = pod.hog("dying", 30, options=["--cpu", "1", "--leaderless"])
    low = pod.hog("low", 8)
    policy.set({cgroup_of(dying): 900, cgroup_of(low): 100})
    trigger = node.hog(pod.cgroup.child("trigger"), 0)
    spinner = node.adopt(Spinner(1))
    kills = oom_kills()
    dying.process.send_signal(signal.SIGKILL)
    assert trigger.grow(34)

    assert kills + 1 == oom_kills()
    assert [dying.pid] == victims(policy.records())
    assert low.alive
    spinner.end()
    assert dying.was_killed()


def test_the_kernel_does_not_wait_for_a_dying_process_with_little_memory(node: Node, policy: Policy) -> None:
    """The next process in order dies. Otherwise a workload with many short processes could block the OOM killer."""
    occupy_cpu_1(node)
    # Less than a thousandth of the node's memory, which is 1 GiB.
    tiny = node.hog(node.cgroup("pods/tiny"), 0, options=["--cpu", "1"])
    low = node.hog(node.cgroup("pods/low"), 20)
    policy.set({cgroup_of(tiny): 900, cgroup_of(low): 100})
    spinner = node.adopt(Spinner(1))
    tiny.process.send_signal(signal.SIGKILL)
    with closing(KernelLog()) as log:
        SYSRQ.write_text("f")
        assert low.pid == log.victim()

    assert tiny.alive, "this process should have been unable to run to its end"
    spinner.end()
    assert tiny.was_killed()


SLOW_IS_CHOSEN = [("slow", "low", "high"), ("low", "slow", "high")]
"""The orders in which the scan chooses `slow`. The kernel does not ask about a dying victim, and chooses it by its
points. It is bigger than `low`."""


@pytest.mark.parametrize("order", SLOW_IS_CHOSEN)
def test_second_sysrq_kills_no_process_while_the_first_victim_is_chosen(
    node: Node, policy: Policy, order: tuple[str, ...]
) -> None:
    """The scan of a sysrq goes on after a dying victim. No other process takes the place of that victim."""
    hogs, spinner = slow_low_and_high(node, policy, order)
    kills, selections = oom_kills(), policy.stat(Stat.SELECTIONS)
    SYSRQ.write_text("f")
    wait_until("the second scan is over", lambda: policy.stat(Stat.SELECTIONS) > selections)

    assert hogs["slow"].alive, "the victim should have been unable to run to its end"
    assert kills == oom_kills()
    assert hogs["low"].alive
    assert hogs["high"].alive
    spinner.end()
    assert hogs["slow"].was_killed()
    assert [hogs["slow"].pid] == victims(policy.records())


def test_second_sysrq_kills_the_next_in_order_if_the_first_victim_is_not_chosen(node: Node, policy: Policy) -> None:
    """A bigger process comes before the dying one in the scan. The lowest priority dies, as at any OOM."""
    hogs, spinner = slow_low_and_high(node, policy, ("high", "slow", "low"))
    with closing(KernelLog()) as log:
        SYSRQ.write_text("f")
        assert hogs["low"].pid == log.victim()

    assert hogs["slow"].alive, "the victim should have been unable to run to its end"
    assert hogs["high"].alive
    spinner.end()


def slow_low_and_high(node: Node, policy: Policy, order: tuple[str, ...]) -> tuple[dict[str, Hog], Spinner]:
    """Start three processes in this order, and let a first sysrq kill `slow`, which cannot run to its end."""
    occupy_cpu_1(node)
    move_reaper_to_cpu_1(node)
    sizes = {"slow": 20, "low": 8, "high": 40}
    hogs = {
        name: node.hog(node.cgroup(f"pods/{name}"), sizes[name], options=["--cpu", "1"] * (name == "slow"))
        for name in order
    }
    policy.set({cgroup_of(hogs[name]): priority for name, priority in (("slow", 100), ("low", 200), ("high", 900))})
    spinner = node.adopt(Spinner(1))
    with closing(KernelLog()) as log:
        SYSRQ.write_text("f")
        assert hogs["slow"].pid == log.victim()
    return hogs, spinner

# SPDX-License-Identifier: Apache-2.0
"""The record of a victim: scope, trigger, cgroups, priority, memory, and the spared task."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from oompolicy_agent.kernel.layout import NO_LEVEL, Stat, VictimFlag
from tests.node.hog import KernelLog, oom_kills, run_out_of_memory
from tests.node.policy import STOCK, flags, victims
from tests.node.running_agent import wait_until
from tests.node.test_order import cgroup_of, move

if TYPE_CHECKING:
    from tests.node.conftest import Pod
    from tests.node.machine import Node
    from tests.node.policy import Policy

PAGES_PER_MIB = (1 << 20) // os.sysconf("SC_PAGESIZE")


def test_the_record_describes_the_victim_of_a_limit(pod: Pod, policy: Policy) -> None:
    """The scope is the cgroup with the limit. The record distinguishes victim, trigger and spared task."""
    small = pod.hog("small", 12, options=["--name", "batch"])
    big = pod.hog("big", 34, options=["--name", "database"])
    policy.set({cgroup_of(small): 100, cgroup_of(big): 200})
    trigger = pod.node.hog(pod.cgroup.child("trigger"), 0, options=["--name", "greedy"])
    assert small is run_out_of_memory(trigger, pod.hogs)[0]

    record = policy.record_of(small)
    assert VictimFlag.SELECTED | VictimFlag.CHANGED | VictimFlag.SPARED_ENTRY == flags(record)
    assert (pod.cgroup.id, cgroup_of(small).id) == (record.scope_cgroup_id, record.victim_cgroup_id)
    assert (b"batch", 100, 0) == (record.victim_comm, record.priority, record.oom_score_adj)
    assert (b"greedy", trigger.pid, cgroup_of(trigger).id) == (
        record.trigger_comm,
        record.trigger_tgid,
        record.trigger_cgroup_id,
    )
    assert (b"database", big.pid, 200, cgroup_of(big).id) == (
        record.spared_comm,
        record.spared_tgid,
        record.spared_priority,
        record.spared_cgroup_id,
    )
    assert 12 * PAGES_PER_MIB <= record.anon_pages < 13 * PAGES_PER_MIB
    assert 64 * PAGES_PER_MIB == record.total_pages
    assert 3 == record.candidates
    assert record.spared_badness > record.badness


def test_the_record_has_the_victims_cgroups_from_the_root(pod: Pod, policy: Policy) -> None:
    """The record has ids and names of all cgroups above the victim, for an agent that has never read them."""
    victim = pod.hog("a/b", 34)
    policy.set({pod.cgroup.child("a"): 100})
    assert victim is pod.first_victim()

    record = policy.record_of(victim)
    assert (3, 2) == (record.level, record.priority_level)
    assert [b"", b"pod", b"a", b"b", b""] == [record.cgroup_names[level].value for level in range(5)]
    assert [pod.cgroup.id, pod.cgroup.child("a").id, cgroup_of(victim).id] == list(record.cgroup_ids)[1:4]


def test_no_spared_task_is_reported_if_the_kernel_would_choose_the_same(pod: Pod, policy: Policy) -> None:
    """A policy that does not change the choice does not report a spared task."""
    small, big = pod.hog("small", 12), pod.hog("big", 34)
    policy.set({cgroup_of(small): 200, cgroup_of(big): 100})
    assert big is pod.first_victim()

    record = policy.record_of(big)
    assert VictimFlag.SELECTED == flags(record)
    assert 0 == record.spared_tgid


@pytest.mark.parametrize("names", [("low", "high"), ("high", "low")])
def test_no_spared_task_is_reported_if_two_tasks_have_the_same_size(
    pod: Pod, policy: Policy, names: tuple[str, str]
) -> None:
    """The kernel's memory counters are exact to some pages per CPU, so the kernel may order the two differently."""
    hogs = {name: pod.hog(name, 24) for name in names}
    policy.set({cgroup_of(hogs["low"]): 100, cgroup_of(hogs["high"]): 200})
    assert hogs["low"] is pod.first_victim()

    assert VictimFlag.SELECTED | VictimFlag.UNSURE == flags(policy.record_of(hogs["low"]))


def test_victim_of_the_node_has_no_scope_cgroup(node: Node, policy: Policy) -> None:
    """Scope 0 is the node, and the record's total memory is the node's memory."""
    hog = node.hog(node.cgroup("pods/a"), 30)
    policy.set({cgroup_of(hog): 100})
    node.fill()
    run_out_of_memory(node.hog(node.cgroup("host"), 0), [hog])

    record = policy.record_of(hog)
    assert 0 == record.scope_cgroup_id
    assert record.total_pages > 200 * PAGES_PER_MIB


def test_victim_without_an_entry_has_the_hosts_priority(pod: Pod, policy: Policy) -> None:
    """The record has no level, and the priority 1000."""
    hog = pod.hog("a", 34)
    assert hog is pod.first_victim()

    record = policy.record_of(hog)
    assert (NO_LEVEL, 1000) == (record.priority_level, record.priority)


def test_the_kernels_log_names_the_policy_of_every_kill(pod: Pod, policy: Policy) -> None:
    """The module names the policy right before the line of the kill, and the patched kernel at the end of that line.

    The kernel's report of an OOM has the name as well, but the kernel omits the report after ten in five seconds.
    """
    with closing(KernelLog()) as log:
        for _ in range(12):
            hog = pod.hog("a", 40)
            policy.set({cgroup_of(hog): 100})
            assert hog is pod.first_victim()
            said = [log.line()]
            while f"Killed process {hog.pid} " not in said[-1]:
                said.append(log.line())
            if STOCK:
                assert said[-2].endswith("oompolicy_hook: policy_name=oompolicy")
            else:
                assert said[-1].endswith(", policy_name=oompolicy")


def test_process_whose_threads_all_run_out_of_memory_is_one_victim(pod: Pod, policy: Policy) -> None:
    """The kernel marks each thread that needs memory to exit, but the process has one record."""
    hog = pod.hog("threads", 20)
    policy.set({cgroup_of(hog): 100})
    hog.rush(60, 4)

    assert hog.was_killed()
    assert [hog.pid] == victims(policy.records())


def test_a_process_that_a_signal_killed_is_no_victim(pod: Pod, policy: Policy) -> None:
    """A process that needs memory to exit gets it from the reserves. The OOM killer has not killed it."""
    hog = pod.hog("threads", 20, adj=-1000)
    kills = oom_kills()
    scans = policy.stat(Stat.NOBODY)
    hog.rush(60, 4)
    wait_until("a scan without a victim", lambda: policy.stat(Stat.NOBODY) > scans)
    hog.process.send_signal(signal.SIGKILL)

    assert hog.was_killed()
    assert kills == oom_kills()
    assert [] == policy.records()


def test_no_spared_task_is_reported_for_a_process_that_asks_to_be_killed(node: Node, pod: Pod, policy: Policy) -> None:
    """The kernel kills swapoff before all other processes, with a policy or without one."""
    node.swap(64)
    pod.cgroup.write("memory.swap.max", "max")
    hog = pod.hog("hog", 40)
    policy.set({cgroup_of(hog): 300})
    pod.cgroup.swap_out(32 << 20)
    pod.cgroup.write("memory.max", 24 << 20)

    def enter() -> None:
        cgroup_of(hog).write("cgroup.procs", 0)
        Path("/proc/self/oom_score_adj").write_text("0")

    done = subprocess.run(["swapoff", "--all"], check=False, preexec_fn=enter)
    pod.cgroup.write("memory.max", "max")

    assert -signal.SIGKILL == done.returncode
    (record,) = policy.records()
    assert b"swapoff" == record.victim_comm
    assert VictimFlag.CHANGED not in flags(record)


def test_the_record_has_the_cgroups_of_trigger_and_spared_from_the_root(pod: Pod, policy: Policy) -> None:
    """The record has the cgroups from the root, because a nested cgroup's id does not identify the container."""
    small, big = pod.hog("small", 12), pod.hog("big", 34)
    policy.set({cgroup_of(small): 100, cgroup_of(big): 200})
    inner = move(big, cgroup_of(big), 14)
    trigger = pod.node.hog(pod.cgroup.child("trigger"), 0)
    outer = cgroup_of(trigger)
    move(trigger, outer, 14)
    assert small is run_out_of_memory(trigger, pod.hogs)[0]

    record = policy.record_of(small)
    assert inner.id == record.spared_cgroup_id
    assert (16, 16) == (record.spared_level, record.trigger_level)
    assert [pod.cgroup.id, cgroup_of(big).id] == list(record.spared_cgroup_ids)[1:3]
    assert [pod.cgroup.id, outer.id] == list(record.trigger_cgroup_ids)[1:3]
    assert 0 not in [*record.spared_cgroup_ids, *record.trigger_cgroup_ids]


def test_every_kill_of_a_storm_is_reported_once(pod: Pod, policy: Policy) -> None:
    """Each kill has one record, in the order of the kills."""
    killed = []
    for _ in range(20):
        hog = pod.hog("storm", 30)
        policy.set({cgroup_of(hog): 100})
        killed += [victim.pid for victim in pod.run_out_of_memory()]

    assert killed == victims(policy.records())

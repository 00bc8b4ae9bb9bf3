# SPDX-License-Identifier: Apache-2.0
"""What is said of a victim: scope, trigger, cgroups, priority, memory, and who was spared."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING

from oompolicy_agent.layout import NO_LEVEL, VictimFlag
from tests.node.hog import KernelLog, run_out_of_memory
from tests.node.policy import STOCK, flags, victims
from tests.node.test_order import cgroup_of

if TYPE_CHECKING:
    from tests.node.conftest import Pod
    from tests.node.machine import Node
    from tests.node.policy import Policy

PAGES_PER_MIB = (1 << 20) // os.sysconf("SC_PAGESIZE")


def test_victim_of_a_limit_is_described(pod: Pod, policy: Policy) -> None:
    """Scope is the limit's cgroup; victim, trigger and the task spared are told apart."""
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


def test_victims_cgroups_are_named_from_the_root(pod: Pod, policy: Policy) -> None:
    """Ids and names of all cgroups on the way, for an agent that has never seen them."""
    victim = pod.hog("a/b", 34)
    policy.set({pod.cgroup.child("a"): 100})
    assert victim is pod.first_victim()

    record = policy.record_of(victim)
    assert (3, 2) == (record.level, record.priority_level)
    assert [b"", b"pod", b"a", b"b", b""] == [record.cgroup_names[level].value for level in range(5)]
    assert [pod.cgroup.id, pod.cgroup.child("a").id, cgroup_of(victim).id] == list(record.cgroup_ids)[1:4]


def test_nobody_is_spared_when_the_kernel_would_have_chosen_the_same(pod: Pod, policy: Policy) -> None:
    """A policy that changes nothing does not claim so."""
    small, big = pod.hog("small", 12), pod.hog("big", 34)
    policy.set({cgroup_of(small): 200, cgroup_of(big): 100})
    assert big is pod.first_victim()

    record = policy.record_of(big)
    assert VictimFlag.SELECTED == flags(record)
    assert 0 == record.spared_tgid


def test_victim_of_the_node_has_no_scope_cgroup(node: Node, policy: Policy) -> None:
    """Scope 0 is the node, and the memory that badness compares with is the node's."""
    hog = node.hog(node.cgroup("pods/a"), 30)
    policy.set({cgroup_of(hog): 100})
    node.fill()
    run_out_of_memory(node.hog(node.cgroup("host"), 0), [hog])

    record = policy.record_of(hog)
    assert 0 == record.scope_cgroup_id
    assert record.total_pages > 200 * PAGES_PER_MIB


def test_victim_without_an_entry_has_the_hosts_priority(pod: Pod, policy: Policy) -> None:
    """No level, and 1000."""
    hog = pod.hog("a", 34)
    assert hog is pod.first_victim()

    record = policy.record_of(hog)
    assert (NO_LEVEL, 1000) == (record.priority_level, record.priority)


def test_policy_name_is_in_the_kernel_log(pod: Pod, policy: Policy) -> None:
    """The module says it right before the kill, the patched kernel at the end of the OOM's first line."""
    hog = pod.hog("a", 34)
    policy.set({cgroup_of(hog): 100})
    with closing(KernelLog()) as log:
        assert hog is pod.first_victim()
        lines = [log.line()]
        while f"Killed process {hog.pid} " not in lines[-1]:
            lines.append(log.line())

    first = next(line for line in lines if " invoked oom-killer: " in line)
    said = lines[-2] if STOCK else first
    assert said.endswith("oompolicy_hook: policy_name=oompolicy" if STOCK else ", policy_name=oompolicy")


def test_every_kill_of_a_storm_is_reported_once(pod: Pod, policy: Policy) -> None:
    """Twenty kills, twenty records, in the order of the kills."""
    killed = []
    for _ in range(20):
        hog = pod.hog("storm", 30)
        policy.set({cgroup_of(hog): 100})
        killed += [victim.pid for victim in pod.run_out_of_memory()]

    assert killed == victims(policy.records())

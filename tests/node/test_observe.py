# SPDX-License-Identifier: Apache-2.0
"""The observing object on a kernel without the hook: the kernel chooses, and the record describes its victim.

These tests and those of the scores are all that the kernels of Debian 11 and 12 run. On them the object takes paths of
its own: from the pid of a victim to its task, to the ancestors of a cgroup, and to the counters of memory.
"""

from __future__ import annotations

import ctypes
import os
import signal
from contextlib import closing
from typing import TYPE_CHECKING, Final

import pytest

from oompolicy_agent.kernel.layout import KernelMode, Stat, VictimFlag
from tests.node import in_process
from tests.node import policy as attached
from tests.node.hog import oom_kills, run_out_of_memory
from tests.node.policy import BPFFS, BUILD, LINUX, OWNERS_MAY_READ, flags, victims
from tests.node.running_agent import RunningAgent, agent_in, wait_until
from tests.node.test_agent import Shop
from tests.node.test_capabilities import LISTS
from tests.node.test_capabilities import loader as confined_loader
from tests.node.test_dying import Spinner, occupy_cpu_1
from tests.node.test_loader import report
from tests.node.test_order import cgroup_of, move

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.node.conftest import Pod
    from tests.node.machine import Node
    from tests.node.policy import Policy

pytestmark = [pytest.mark.module, pytest.mark.extremes]

PAGES_PER_MIB: Final = (1 << 20) // os.sysconf("SC_PAGESIZE")
KEPT_BACK: Final = 0 if LINUX >= (6, 2) else 64
"""The pages that a thread counts on its own before it adds them to the counter of its memory, which the OOM killer
reads (TASK_RSS_EVENTS_THRESH in mm/memory.c)."""


@pytest.fixture(scope="module", autouse=True)
def _observing() -> Iterator[None]:
    in_process.detach()
    attached.loader("attach", "--object-dir", BUILD / "bpf")
    yield
    in_process.detach()


@pytest.fixture
def observed() -> Iterator[Policy]:
    """Yield the maps of the observing object, without entries."""
    policy = attached.Policy()
    policy.clear()
    yield policy
    policy.close()


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[RunningAgent]:
    with agent_in(tmp_path) as agent:
        yield agent


def test_the_loader_attaches_the_object_and_says_that_the_kernel_chooses() -> None:
    found = report()

    assert ("ObserveOnly", "None", True) == (found["backend"], found["hook"], found["attached"])
    assert "this kernel has no hook, neither built in nor in a module" == found["message"]
    assert sorted(found["links"]) == sorted(each.name for each in (BPFFS / "links" / found["object"]).iterdir())


def test_the_record_describes_the_victim_of_a_limit(pod: Pod, observed: Policy) -> None:
    """The largest process dies, whatever the entries say. Scope, cgroups, trigger, memory and priority are right."""
    small = pod.hog("small", 12)
    big = pod.hog("a/b", 34, options=["--name", "database"])
    observed.set({cgroup_of(small): 100, pod.cgroup.child("a"): 900})
    trigger = pod.node.hog(pod.cgroup.child("trigger"), 0, options=["--name", "greedy"])
    assert big is run_out_of_memory(trigger, pod.hogs)[0]

    record = observed.record_of(big)
    assert VictimFlag(0) == flags(record)
    assert (pod.cgroup.id, cgroup_of(big).id) == (record.scope_cgroup_id, record.victim_cgroup_id)
    assert (b"database", 900, 0, 0) == (record.victim_comm, record.priority, record.oom_score_adj, record.victim_uid)
    assert (3, 2) == (record.level, record.priority_level)
    assert [b"", b"pod", b"a", b"b", b""] == [record.cgroup_names[level].value for level in range(5)]
    assert [pod.cgroup.id, pod.cgroup.child("a").id, cgroup_of(big).id] == list(record.cgroup_ids)[1:4]
    assert (b"greedy", trigger.pid, cgroup_of(trigger).id) == (
        record.trigger_comm,
        record.trigger_tgid,
        record.trigger_cgroup_id,
    )
    assert 34 * PAGES_PER_MIB - KEPT_BACK <= record.anon_pages < 35 * PAGES_PER_MIB
    assert 64 * PAGES_PER_MIB == record.total_pages
    assert record.anon_pages <= record.badness < 40 * PAGES_PER_MIB
    assert 0 < record.pgtables_bytes < 1 << 20
    assert (0, 0) == (record.candidates, record.spared_tgid)


def test_victim_of_the_node_has_no_scope_cgroup(node: Node, observed: Policy) -> None:
    """Scope 0 is the node, and the record's total memory is the node's memory."""
    hog = node.hog(node.cgroup("pods/a"), 30, adj=1000)
    node.fill()
    run_out_of_memory(node.hog(node.cgroup("host"), 0), [hog])

    record = observed.record_of(hog)
    assert (0, 1000) == (record.scope_cgroup_id, record.oom_score_adj)
    assert record.total_pages > 200 * PAGES_PER_MIB


def test_each_member_of_a_group_has_one_record(node: Node, pod: Pod, observed: Policy) -> None:
    """The kernel chooses one process and kills its cgroup. The others have the flag of the group."""
    group = pod.cgroup.child("group")
    small, big = (node.hog(group, mib) for mib in (4, 34))
    group.write("memory.oom.group", 1)
    trigger = node.hog(pod.cgroup.child("trigger"), 0)
    # The kernel may kill the trigger too, before the memory of the group is free.
    assert {small, big} == set(run_out_of_memory(trigger, [small, big])) - {trigger}

    found = [(each.victim_tgid, flags(each)) for each in observed.records() if each.victim_tgid != trigger.pid]
    assert 2 == len(found)
    assert {(small.pid, VictimFlag.GROUP), (big.pid, VictimFlag(0))} == set(found)


def test_deeply_nested_cgroups_have_their_ancestors_from_the_root(pod: Pod, observed: Policy) -> None:
    """The record ends below the container, however deep the cgroup of the process is."""
    hog = pod.hog("container", 34)
    inner = move(hog, cgroup_of(hog), 30)
    assert hog is pod.first_victim()

    record = observed.record_of(hog)
    assert (inner.id, 32) == (record.victim_cgroup_id, record.level)
    assert [pod.cgroup.id, pod.cgroup.child("container").id] == list(record.cgroup_ids)[1:3]
    assert 0 not in list(record.cgroup_ids)


def test_process_whose_threads_all_run_out_of_memory_is_one_victim(pod: Pod, observed: Policy) -> None:
    """The kernel marks each thread that needs memory to exit, but the process has one record."""
    hog = pod.hog("threads", 20)
    hog.rush(60, 4)

    assert hog.was_killed()
    assert [hog.pid] == victims(observed.records())


def test_a_process_that_a_signal_killed_has_no_record(node: Node, pod: Pod, observed: Policy) -> None:
    """The kernel chooses the dying process and marks it, so that it gets the memory that it needs to exit."""
    occupy_cpu_1(node)
    dying = pod.hog("dying", 30, options=["--cpu", "1"])
    # The dying process is the biggest at the moment of the OOM.
    pod.hog("low", 8)
    trigger = node.hog(pod.cgroup.child("trigger"), 0)
    spinner = node.adopt(Spinner(1))
    kills, marked = oom_kills(), observed.stat(Stat.DYING)
    dying.process.send_signal(signal.SIGKILL)
    assert trigger.grow(34)

    assert observed.stat(Stat.DYING) > marked, "the scope should have run out of memory"
    assert dying.alive, "this process should have been unable to run to its end"
    assert (kills, []) == (oom_kills(), observed.records())
    spinner.end()
    assert dying.was_killed()


def test_every_kill_of_a_storm_is_reported_once(pod: Pod, observed: Policy) -> None:
    """Each kill has one record, in the order of the kills, and the counter has the same number."""
    before, kernel = observed.stat(Stat.VICTIMS), oom_kills()
    killed = []
    for _ in range(10):
        pod.hog("storm", 30)
        killed += [victim.pid for victim in pod.run_out_of_memory()]

    assert killed == victims(observed.records())
    assert len(killed) == observed.stat(Stat.VICTIMS) - before == oom_kills() - kernel


def test_a_process_that_a_signal_killed_is_no_victim(pod: Pod, observed: Policy) -> None:
    """SIGKILL from a user is no kill of the OOM killer, also right before the OOM of another process."""
    by_user, by_kernel = pod.hog("user", 4), pod.hog("kernel", 34)
    by_user.process.send_signal(signal.SIGKILL)
    assert by_user.was_killed()
    pod.hogs.remove(by_user)
    assert by_kernel is pod.first_victim()

    found = victims(observed.records())
    # The kernel may kill another process too, before the memory of the first one is free.
    assert by_kernel.pid == found[0]
    assert by_user.pid not in found


def test_a_kill_becomes_an_event_on_the_victims_pod(node: Node, observed: Policy, agent: RunningAgent) -> None:
    """The Event says that the kernel chose. Before Linux 5.19 the agent has CAP_BPF, its only capability, for it."""
    shop = Shop(node, agent)
    agent.start(*([] if OWNERS_MAY_READ else ["bpf"]))
    shop.await_entry(observed)
    assert "postgres" == shop.out_of_memory()[0]

    event = wait_until("an Event", agent.events)[0]
    regarding = event["regarding"]
    assert ("Pod", "shop", "postgres-0") == (regarding["kind"], regarding["namespace"], regarding["name"])
    assert f"killed postgres (pid {shop.killed[0].pid}" in event["note"]
    assert "the kernel did not use priorities in this OOM" in event["note"]
    assert "spared" not in event["note"]
    assert "False" == agent.condition("Enforcing")["status"]


def test_the_loaders_capabilities_suffice() -> None:
    """Before Linux 5.11 the chart's list needs SYS_RESOURCE in addition, and without it the report says so."""
    attached.detach()
    if LINUX < (5, 11):
        assert 0 == confined_loader(LISTS[1], "attach", "--object-dir", BUILD / "bpf").returncode
        assert (
            "before Linux 5.11 maps count as locked memory, so the loader needs CAP_SYS_RESOURCE" in report()["message"]
        )
        assert report()["attached"] is False
    needed = LISTS[1] if LINUX >= (5, 11) else f"{LISTS[1]}, SYS_RESOURCE"
    done = confined_loader(needed, "attach", "--object-dir", BUILD / "bpf")

    assert 0 == done.returncode, done.stderr
    assert report()["attached"] is True


def test_an_agent_without_capability_says_what_it_may_not_open(node: Node, agent: RunningAgent) -> None:
    """Before Linux 5.19 a sysctl keeps the maps from the agent, and its condition names the sysctl. 0 opens them."""
    agent.start()
    if not OWNERS_MAY_READ:
        message = agent.condition("Ready")["message"]
        assert "this kernel opens BPF maps only for a process with CAP_BPF" in message
        assert "kernel.unprivileged_bpf_disabled=2" in message
        assert "False" == agent.condition("Ready")["status"]
        node.sysctl("kernel.unprivileged_bpf_disabled", 0)

    wait_until("the maps", lambda: "True" == agent.condition("Ready")["status"])


def test_a_map_that_was_frozen_is_replaced(pod: Pod) -> None:
    """The next loader puts other maps in place. Before Linux 5.16 bpffs cannot exchange two folders."""
    libbpf = ctypes.CDLL("libbpf.so.1", use_errno=True)
    settings = libbpf.bpf_obj_get(os.fsencode(BPFFS / "maps/settings"))
    assert 0 == libbpf.bpf_map_freeze(settings)
    os.close(settings)
    attached.loader("attach", "--object-dir", BUILD / "bpf")

    assert report()["attached"] is True
    assert {"links", "maps"} == {each.name for each in BPFFS.iterdir()}
    with closing(attached.Policy()) as policy:
        policy.set_mode(KernelMode.OFF)
        hog = pod.hog("app", 34)
        assert hog is pod.first_victim()
        # The kernel may kill the trigger too, before the memory of the first victim is free.
        assert hog.pid == victims(policy.records())[0]

# SPDX-License-Identifier: Apache-2.0
"""The order of the victims: priority first, then the kernel's badness, in a limit and on the whole node."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.node.cgroup import Cgroup
from tests.node.hog import run_out_of_memory

if TYPE_CHECKING:
    from tests.node.conftest import Pod
    from tests.node.hog import Hog
    from tests.node.machine import Node
    from tests.node.policy import Policy


def cgroup_of(hog: Hog) -> Cgroup:
    assert hog.cgroup
    return hog.cgroup


def move(hog: Hog, cgroup: Cgroup, levels: int) -> Cgroup:
    """Put a process into a cgroup `levels` below this one. It has no controller, so the memory stays charged above."""
    path = cgroup.path.joinpath(*["n"] * levels)
    path.mkdir(parents=True)
    (path / "cgroup.procs").write_text(str(hog.pid))
    return Cgroup(path)


@pytest.mark.parametrize("names", [("small", "big"), ("big", "small")])
@pytest.mark.parametrize(("priorities", "victim"), [((100, 200), "small"), ((200, 100), "big"), ((150, 150), "big")])
def test_priority_decides_in_a_limit(
    pod: Pod, policy: Policy, names: tuple[str, str], priorities: tuple[int, int], victim: str
) -> None:
    """Within a pod's limit the lower priority dies. Of two equal ones the bigger dies, in both orders of the scan."""
    hogs = {name: pod.hog(name, {"small": 12, "big": 34}[name]) for name in names}
    policy.set(dict(zip((cgroup_of(hogs["small"]), cgroup_of(hogs["big"])), priorities, strict=True)))

    assert hogs[victim] is pod.first_victim()


@pytest.mark.parametrize(("small_priority", "big_priority", "victim"), [(100, 200, 0), (200, 100, 1), (150, 150, 1)])
def test_priority_decides_on_the_whole_node(
    node: Node, policy: Policy, small_priority: int, big_priority: int, victim: int
) -> None:
    """The same order holds when the node itself is out of memory."""
    hogs = [node.hog(node.cgroup("pods/small"), 20), node.hog(node.cgroup("pods/big"), 50)]
    policy.set({cgroup_of(hogs[0]): small_priority, cgroup_of(hogs[1]): big_priority})
    node.fill()

    assert hogs[victim] is run_out_of_memory(node.hog(node.cgroup("host"), 0), hogs)[0]


@pytest.mark.parametrize(("priorities", "victim"), [((100, 200), "fresh"), ((150, 150), "swapped")])
def test_priority_decides_if_a_pod_may_swap(
    node: Node, pod: Pod, policy: Policy, priorities: tuple[int, int], victim: str
) -> None:
    """The same order holds with swap. Memory in swap counts, so that the bigger of two equal processes dies."""
    node.swap(64)
    pod.cgroup.write("memory.swap.max", 24 << 20)
    hogs = {name: pod.hog(name, {"swapped": 30, "fresh": 20}[name]) for name in ("swapped", "fresh")}
    # 22 of 30 MiB, so that it has less in memory than the other one.
    cgroup_of(hogs["swapped"]).swap_out(22 << 20)
    policy.set(dict(zip((cgroup_of(hogs["fresh"]), cgroup_of(hogs["swapped"])), priorities, strict=True)))

    assert hogs[victim] is pod.first_victim()


def test_order_of_the_scan_does_not_matter(pod: Pod, policy: Policy) -> None:
    """The lowest of many priorities dies in any position of the scan."""
    priorities = [500, 300, 700, 100, 300, 900]
    hogs = [pod.hog(f"c{index}", 8) for index in range(len(priorities))]
    policy.set({cgroup_of(hog): priority for hog, priority in zip(hogs, priorities, strict=True)})

    assert hogs[3] is pod.first_victim()


def test_next_victim_is_the_next_in_order(pod: Pod, policy: Policy) -> None:
    """One OOM after the other kills the priorities from the lowest upwards.

    The trigger has the host's priority, so it may die with the last victim, before that memory is free.
    """
    hogs = [pod.hog(f"c{priority}", 10) for priority in (400, 200, 300)]
    policy.set({cgroup_of(hog): priority for hog, priority in zip(hogs, (400, 200, 300), strict=True)})
    died = []
    while pod.hogs:
        died += pod.run_out_of_memory()

    assert [hogs[1], hogs[2], hogs[0]] == died[: len(hogs)]


def test_process_in_a_nested_cgroup_has_its_containers_priority(pod: Pod, policy: Policy) -> None:
    """The entry of the container applies to a process in a cgroup below it."""
    nested = pod.hog("low/deep/er", 12)
    big = pod.hog("high", 34)
    policy.set({pod.cgroup.child("low"): 100, cgroup_of(big): 200})

    assert nested is pod.first_victim()


def test_nearest_entry_wins(pod: Pod, policy: Policy) -> None:
    """A container's own entry applies, and not the entry of the pod above it."""
    small, big = pod.hog("a/own", 12), pod.hog("b/own", 34)
    policy.set({pod.cgroup.child("a"): 900, cgroup_of(small): 100, pod.cgroup.child("b"): 50, cgroup_of(big): 200})

    assert small is pod.first_victim()


@pytest.mark.parametrize("levels", [40, 300])
def test_deeply_nested_process_has_its_containers_priority(pod: Pod, policy: Policy, levels: int) -> None:
    """A process has its container's priority at any number of cgroups below the container."""
    nested = pod.hog("low", 12)
    move(nested, cgroup_of(nested), levels)
    big = pod.hog("high", 34)
    policy.set({pod.cgroup.child("low"): 100, cgroup_of(big): 200})

    assert nested is pod.first_victim()


def test_deeply_nested_process_changes_nothing_for_others(pod: Pod, policy: Policy) -> None:
    """A deeply nested process in one container does not change the order of the other processes."""
    low, deep, high = pod.hog("low", 10), pod.hog("deep", 16), pod.hog("high", 24)
    move(deep, cgroup_of(deep), 300)
    policy.set({cgroup_of(low): 100, cgroup_of(deep): 500, cgroup_of(high): 900})

    assert low is pod.first_victim()


def test_entry_of_a_deep_cgroup_applies_to_its_own_processes(pod: Pod, policy: Policy) -> None:
    """An entry of a process's own cgroup is the nearest one at any level."""
    nested = pod.hog("high", 12)
    own = move(nested, cgroup_of(nested), 60)
    big = pod.hog("other", 34)
    policy.set({pod.cgroup.child("high"): 900, own: 100, cgroup_of(big): 200})

    assert nested is pod.first_victim()


def test_class_default_holds_before_an_entry_exists(node: Node, policy: Policy) -> None:
    """A pod without an entry of its own has the priority of its QoS slice from its first instruction."""
    slices = {"kubepods/burstable": 500, "kubepods/besteffort": 200, "kubepods": 800}
    kubepods = node.cgroup("kubepods", memory__max=64 << 20)
    policy.set({node.cgroup(name): priority for name, priority in slices.items()})
    hogs = [
        node.hog(kubepods.child("burstable/podb/c"), 20),
        node.hog(kubepods.child("besteffort/pode/c"), 8),
        node.hog(kubepods.child("podg/c"), 20),
    ]

    assert hogs[1] is run_out_of_memory(node.hog(kubepods.child("podt/c"), 0), hogs)[0]


@pytest.mark.parametrize(("leaderless", "other", "victim"), [(900, 100, "other"), (100, 900, "leaderless")])
def test_process_without_its_first_thread_has_its_priority(
    pod: Pod, policy: Policy, leaderless: int, other: int, victim: str
) -> None:
    """A process has its priority even if its main thread has exited, whether it is the lower or the higher one."""
    hogs = {"leaderless": pod.hog("leaderless", 34, options=["--leaderless"]), "other": pod.hog("other", 12)}
    policy.set({cgroup_of(hogs["leaderless"]): leaderless, cgroup_of(hogs["other"]): other})

    assert hogs[victim] is pod.first_victim()


def test_without_entries_the_kernel_chooses(pod: Pod, policy: Policy) -> None:
    """Without any entry all processes have the host's priority, and the biggest one dies."""
    assert not policy.entries.entries()
    small, big = pod.hog("small", 12), pod.hog("big", 34)

    assert big is pod.first_victim()
    assert small.alive


def test_changed_priority_applies_at_the_next_oom(pod: Pod, policy: Policy) -> None:
    """The next OOM uses the changed entry."""
    small, big = pod.hog("small", 12), pod.hog("big", 34)
    policy.set({cgroup_of(small): 100, cgroup_of(big): 200})
    policy.set({cgroup_of(small): 300})

    assert big is pod.first_victim()

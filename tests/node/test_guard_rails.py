# SPDX-License-Identifier: Apache-2.0
"""The settings change the order among equal priorities, and pass over processes that free too little.

The tests check the first victim. The kernel may run out of memory again before that victim has freed its memory.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest

from oompolicy_agent.kernel.layout import KernelMode, KernelTieBreak, VictimFlag
from tests.node.policy import flags
from tests.node.scene import OOMS_PER_SCENE, Scene
from tests.node.test_order import cgroup_of
from tests.node.test_random import OOMS, seed_of_this_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.node.conftest import Pod
    from tests.node.machine import Node
    from tests.node.policy import Policy

MIB = 1 << 20
RANDOM_OOMS = OOMS // 3
ORDERS = [("first", "second"), ("second", "first")]
"""The orders in which cgroups are made, which is the order of the scan in a limit."""


@pytest.fixture
def settings(policy: Policy) -> Iterator[Policy]:
    """Yield the attached policy, and restore its settings afterwards."""
    before = policy.settings.read()
    yield policy
    policy.settings.write(before)


@pytest.mark.parametrize("order", ORDERS)
def test_most_over_request_prefers_the_container_above_its_request(
    pod: Pod, settings: Policy, order: tuple[str, str]
) -> None:
    """The large container is within its request, and survives the small one."""
    sizes = {"first": 14, "second": 34}
    hogs = {name: pod.hog(name, sizes[name]) for name in order}
    settings.entries.put(cgroup_of(hogs["first"]).id, 500, 4 * MIB)
    settings.entries.put(cgroup_of(hogs["second"]).id, 500, 40 * MIB)
    settings.settings.change(tie_break=KernelTieBreak.MOST_OVER_REQUEST)

    assert hogs["first"] is pod.first_victim()
    record = settings.record_of(hogs["first"])
    assert VictimFlag.CHANGED in flags(record)
    assert hogs["second"].pid == record.spared_tgid


@pytest.mark.parametrize("order", ORDERS)
def test_most_over_request_does_not_change_the_order_of_priorities(
    pod: Pod, settings: Policy, order: tuple[str, str]
) -> None:
    """The lower priority dies, although it is far below its request."""
    sizes = {"first": 14, "second": 34}
    hogs = {name: pod.hog(name, sizes[name]) for name in order}
    settings.entries.put(cgroup_of(hogs["first"]).id, 499, 60 * MIB)
    settings.entries.put(cgroup_of(hogs["second"]).id, 500, 0)
    settings.settings.change(tie_break=KernelTieBreak.MOST_OVER_REQUEST)

    assert hogs["first"] is pod.first_victim()


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("entry", [True, False], ids=["pod", "host"])
def test_most_over_request_leaves_critical_pods_to_the_kernels_order(
    pod: Pod, settings: Policy, order: tuple[str, str], entry: bool
) -> None:
    """A node-critical pod without a request dies after a process with the host's priority, as without a policy."""
    sizes, adjs = {"first": 14, "second": 34}, {"first": -997, "second": 0}
    hogs = {name: pod.hog(name, sizes[name], adj=adjs[name]) for name in order}
    settings.entries.put(cgroup_of(hogs["first"]).id, 1000, 0)
    if entry:
        settings.entries.put(cgroup_of(hogs["second"]).id, 1000, 60 * MIB)
    settings.settings.change(tie_break=KernelTieBreak.MOST_OVER_REQUEST)

    assert hogs["second"] is pod.first_victim()


def test_within_a_container_the_largest_process_dies(pod: Pod, settings: Policy) -> None:
    """All processes of a container have the same memory above its request."""
    small, large = pod.hog("app", 10), pod.hog("app", 30)
    settings.entries.put(cgroup_of(small).id, 500, 4 * MIB)
    settings.settings.change(tie_break=KernelTieBreak.MOST_OVER_REQUEST)

    assert large is pod.first_victim()


def test_an_unknown_tie_break_is_the_kernels_order(pod: Pod, settings: Policy) -> None:
    """A later version may have another one."""
    small, large = pod.hog("small", 12), pod.hog("large", 34)
    settings.entries.put(cgroup_of(small).id, 500, 0)
    settings.entries.put(cgroup_of(large).id, 500, 60 * MIB)
    settings.settings.change(tie_break=7)

    assert large is pod.first_victim()


@pytest.mark.parametrize("order", ORDERS)
def test_a_process_that_frees_too_little_is_passed_over(pod: Pod, settings: Policy, order: tuple[str, str]) -> None:
    """The big process dies, although its priority is higher."""
    sizes = {"first": 10, "second": 34}
    hogs = {name: pod.hog(name, sizes[name]) for name in order}
    settings.set({cgroup_of(hogs["first"]): 100, cgroup_of(hogs["second"]): 900})
    settings.settings.change(minimum_victim_memory=16 * MIB)

    assert hogs["second"] is pod.first_victim()


def test_processes_that_free_too_little_die_in_strict_order(pod: Pod, settings: Policy) -> None:
    """All of them are passed over, so the lowest priority dies first, and before the host."""
    hogs = [pod.hog(f"hog{number}", 8 + number) for number in range(3)]
    settings.set({cgroup_of(hog): 300 - 100 * number for number, hog in enumerate(hogs)})
    settings.settings.change(minimum_victim_memory=60 * MIB)

    assert hogs[2] is pod.first_victim()


def test_a_process_of_the_host_does_not_die_in_place_of_a_small_one(pod: Pod, settings: Policy) -> None:
    """The trigger has no entry and is the largest. Small pods are no safer than the host."""
    small = pod.hog("small", 8)
    settings.set({cgroup_of(small): 900})
    settings.settings.change(minimum_victim_memory=16 * MIB)

    assert small is pod.first_victim()


def test_the_memory_of_the_container_counts_if_it_dies_as_a_whole(pod: Pod, settings: Policy) -> None:
    """With `memory.oom.group`, four small processes free enough together."""
    container = pod.cgroup.child("group", memory__oom__group=1)
    crowd = [pod.node.hog(container, 6) for _ in range(4)]
    big = pod.hog("big", 24)
    settings.set({container: 100, cgroup_of(big): 900})
    settings.settings.change(minimum_victim_memory=16 * MIB)
    pod.hogs += crowd

    assert set(crowd) == set(pod.run_out_of_memory()[: len(crowd)])


@pytest.mark.parametrize("levels", [1, 3, 27])
def test_the_memory_of_the_topmost_group_counts(pod: Pod, settings: Policy, levels: int) -> None:
    """Each small process is in a cgroup of its own below the group, and the kernel kills all of them."""
    container = pod.cgroup.child("group", memory__oom__group=1)
    below = [container.child(f"part{number}") for number in range(4)]
    for _ in range(levels - 1):
        below = [each.child("inner") for each in below]
    crowd = [pod.node.hog(each, 6) for each in below]
    big = pod.hog("big", 24)
    settings.set({container: 100, cgroup_of(big): 900})
    settings.settings.change(minimum_victim_memory=16 * MIB)
    pod.hogs += crowd

    assert set(crowd) == set(pod.run_out_of_memory()[: len(crowd)])


def test_a_group_above_the_scope_does_not_count(pod: Pod, settings: Policy) -> None:
    """The kernel kills no cgroup above the one that reached its limit, so the small process would die alone."""
    outside = pod.node.cgroup("outside", memory__oom__group=1)
    pod.cgroup = outside.child("pod", memory__max=64 << 20)
    small, big = pod.hog("small", 8), pod.hog("big", 34)
    settings.set({cgroup_of(small): 100, cgroup_of(big): 900})
    settings.settings.change(minimum_victim_memory=16 * MIB)

    assert big is pod.first_victim()


def test_a_protected_process_is_killed_after_all_others(pod: Pod, settings: Policy) -> None:
    """An oom_score_adj of -998 protects a process more than a small size does."""
    protected, small = pod.hog("protected", 34, adj=-998), pod.hog("small", 8)
    settings.set({cgroup_of(protected): 100, cgroup_of(small): 900})
    settings.settings.change(minimum_victim_memory=16 * MIB)

    assert small is pod.first_victim()


def test_audit_names_the_choice_with_all_settings(pod: Pod, settings: Policy) -> None:
    """The kernel kills the largest process. The policy would have passed over the smallest one."""
    sizes = {"small": 6, "batch": 14, "database": 30}
    hogs = {name: pod.hog(name, mib) for name, mib in sizes.items()}
    priorities = {"small": 50, "batch": 100, "database": 900}
    settings.set({cgroup_of(hogs[name]): value for name, value in priorities.items()})
    settings.settings.change(minimum_victim_memory=10 * MIB, mode=KernelMode.AUDIT)

    assert hogs["database"] is pod.first_victim()
    assert hogs["batch"].pid == settings.record_of(hogs["database"]).spared_tgid


def test_random_scenes_with_requests_and_a_minimum_follow_the_model(
    node: Node, settings: Policy, restart_deadline: Callable[[], None]
) -> None:
    """The first victim of each OOM is the model's. The memory of a dead one may still count for the next."""
    seed = seed_of_this_run()
    rng = random.Random(seed)  # noqa: S311 (scenes, not secrets)
    scene = Scene(node, rng)
    decided = 0
    for number in range(RANDOM_OOMS):
        restart_deadline()
        if number % OOMS_PER_SCENE == 0:
            scene.clear()
        scene.populate()
        entries = scene.set_entries(settings)
        rules = scene.set_rules(settings, entries)
        died, _ = scene.run_out_of_memory()
        chosen = scene.policys_choice(entries, rules)
        assert died[0] == chosen, f"OOM {number} of OOMPOLICY_SEED={seed}"
        decided += chosen != scene.policys_choice(entries)
        for name in died:
            scene.remove(name)
    scene.clear()
    assert decided > RANDOM_OOMS // 10

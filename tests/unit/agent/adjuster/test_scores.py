# SPDX-License-Identifier: Apache-2.0
"""Scores of processes: one for a container, and a difference for a process with a value of its own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from oompolicy_agent.adjuster.badness import Container
from oompolicy_agent.adjuster.group import Group, Process, ProcessId
from oompolicy_agent.adjuster.originals import Original
from oompolicy_agent.adjuster.scores import DIFFERENCE, container_of, process_scores

HOST = 1000
STEP = 262


def group(priority: int, *usages: int) -> Group:
    processes = (Process(ProcessId(pid, pid), 1, 0, usage) for pid, usage in enumerate(usages, 1))
    return Group(4711, priority, tuple(processes))


def original(value: int, **own: int) -> Original:
    """Return an original whose processes p1, p2 and so on have a value of their own."""
    return Original(value, {ProcessId(int(name[1:]), int(name[1:])): each for name, each in own.items()})


def by_pid(scores: dict[ProcessId, int]) -> dict[int, int]:
    return {process.pid: score for process, score in scores.items()}


def test_all_processes_of_a_container_have_its_score() -> None:
    """The largest one stands for the container, whichever it is."""
    found = group(200, 50, 900, 30)

    assert Container(4711, 200, 900, 500) == container_of(found, original(500), STEP, HOST)
    assert {1: 640, 2: 640, 3: 640} == by_pid(process_scores(found, original(500), 640, HOST))


def test_a_process_keeps_its_own_difference() -> None:
    """The first process protects itself more than its children, and dies after them if they are as large."""
    found = group(200, 900, 900)

    assert {1: 630, 2: 640} == by_pid(process_scores(found, original(100, p2=110), 640, HOST))
    assert {1: 640, 2: 630} == by_pid(process_scores(found, original(100, p2=90), 640, HOST))


def test_a_large_difference_ends_with_the_band() -> None:
    """The children of PostgreSQL have 900 more than the first process, which would be most of all memory."""
    found = group(200, 900, 900)

    assert {1: 640 - DIFFERENCE, 2: 640} == by_pid(process_scores(found, original(-900, p2=0), 640, HOST))


def test_the_worst_process_stands_for_a_container_with_differences() -> None:
    """A large process that protects itself counts as smaller."""
    protected, child = 900 + DIFFERENCE * STEP, 1000

    assert 1000 == container_of(group(200, protected, child), original(-900, p2=0), STEP, HOST).usage
    assert 900 == container_of(group(200, protected, 0), original(-900, p2=0), STEP, HOST).usage


@given(
    st.lists(st.integers(0, 100_000), min_size=1, max_size=6),
    st.integers(-997, 1000),
    st.data(),
    st.integers(-900, 999),
)
def test_no_process_is_worse_than_its_container(usages: list[int], value: int, data: st.DataObject, score: int) -> None:
    """The largest badness of the processes is that of the container, which the solver placed."""
    found = group(data.draw(st.sampled_from([0, 999])), *usages)
    own = {each.id: data.draw(st.integers(-997, 1000)) for each in data.draw(st.sets(st.sampled_from(found.processes)))}
    kept = Original(value, own)
    scores = process_scores(found, kept, score, HOST)
    worst = max(each.usage + scores[each.id] * STEP for each in found.processes)

    assert container_of(found, kept, STEP, HOST).usage + score * STEP == worst
    assert all(-997 <= each <= 1000 for each in scores.values())


def test_processes_of_the_hosts_priority_keep_their_own_values() -> None:
    """They are equal to host processes. Values above 0 would make them the first to die."""
    found, kept = group(HOST, 50, 50, 50), original(-997, p2=300, p3=-5)

    assert {1: -997, 2: 0, 3: -5} == by_pid(process_scores(found, kept, 0, HOST))
    assert 300 == container_of(found, kept, STEP, HOST).original


def test_above_the_host_there_is_no_room_for_differences() -> None:
    """A higher score could pass a host process."""
    found = group(1500, 50, 50)

    assert {1: -997, 2: -997} == by_pid(process_scores(found, original(-900, p2=0), -997, HOST))

# SPDX-License-Identifier: Apache-2.0
"""The choice of other values is the kernel's rule: the largest badness, and the youngest process of equal ones."""

from __future__ import annotations

from oompolicy_agent.adjuster.badness import Scope
from oompolicy_agent.adjuster.choice import by_originals, by_scores
from oompolicy_agent.adjuster.group import Group, Process, ProcessId
from oompolicy_agent.adjuster.look import Look
from oompolicy_agent.adjuster.originals import Original

HOST = 1000
TOTAL = 100_000


def process(pid: int, usage: int, score: int = 0, start: int = 5) -> Process:
    return Process(ProcessId(pid, start), 1, score, usage)


WEB = Group(10, 500, (process(100, 3000, 900), process(101, 2000, 900)))
BATCH = Group(11, 100, (process(110, 1000, 950),))
UNLISTED = Group(12, HOST, (process(120, 500, 300),))
ORIGINALS = {10: Original(0, {ProcessId(101, 5): 20}), 11: Original(5), 12: Original(300)}


def look(*host: Process, scopes: tuple[str, ...] = ("Node",), inside: frozenset[int] = frozenset({10, 11, 12})) -> Look:
    found = tuple(Scope(name, TOTAL) for name in scopes)
    return Look((WEB, BATCH), (UNLISTED,), found, inside, (), host, dict.fromkeys(scopes, inside))


def chosen(found: Look, scope: str = "Node") -> tuple[int, int, int]:
    choice = by_originals(found, ORIGINALS, HOST)[scope]
    return choice.process.id.pid, choice.cgroup, choice.priority


def test_the_value_of_a_process_of_its_own_counts() -> None:
    """Without the container of 300, the second process of the first container has the largest original badness."""
    found = look(inside=frozenset({10, 11}))

    assert (101, 10, 500) == chosen(found)


def test_a_container_without_a_priority_is_a_candidate() -> None:
    assert (120, 12, HOST) == chosen(look())


def test_a_host_process_is_a_candidate_on_the_node_alone() -> None:
    """A process with -1000 and the first process of the machine are none."""
    host = process(200, 60_000), process(1, 90_000), process(201, 300_000, -1000)

    assert (200, 0, HOST) == chosen(look(*host))
    assert (120, 12, HOST) == chosen(look(*host, scopes=("Node", "Kubepods")), "Kubepods")


def test_the_processes_of_a_group_are_no_host_processes() -> None:
    """The list of all other processes of the machine has those of containers without a priority too."""
    assert (120, 12, HOST) == chosen(look(*UNLISTED.processes))


def test_of_equal_processes_the_youngest_dies() -> None:
    found = look(process(300, 70_000, start=9), process(301, 70_000, start=8))

    assert 300 == chosen(found)[0]


def test_scores_choose_by_their_own_values() -> None:
    """The processes of the group keep their distances, and host processes have their values."""
    choices = by_scores(look(process(200, 60_000)), ORIGINALS, {10: 500, 11: 900}, HOST)

    assert {"Node": 110} == {scope: each.process.id.pid for scope, each in choices.items()}


def test_a_scope_without_a_unique_tree_has_no_choice() -> None:
    found = look(scopes=("Node", "Kubepods"))
    unclear = Look(found.wanted, found.others, found.scopes, found.cgroups, (), (), {"Node": found.cgroups})

    assert {"Node"} == set(by_originals(unclear, ORIGINALS, HOST))


def test_a_node_without_candidates_has_no_choice() -> None:
    assert {} == by_originals(Look((), (), (Scope("Node", TOTAL),), frozenset(), (), (), {}), {}, HOST)

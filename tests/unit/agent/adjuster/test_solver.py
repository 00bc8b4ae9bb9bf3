# SPDX-License-Identifier: Apache-2.0
"""The properties of the scores, for any containers, scopes and host processes."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from oompolicy_agent.adjuster.badness import STARTING, Container, Scope, Span
from oompolicy_agent.adjuster.order import Broken
from oompolicy_agent.adjuster.solver import Solution, solve

if TYPE_CHECKING:
    from collections.abc import Iterator

HOST = 1000
TOTAL = 262_144  # pages: 1 GiB
NODE = Scope("Node", TOTAL)

# There are few priorities and sizes, so that equal ones are frequent.
PRIORITIES = st.sampled_from([0, 100, 200, 500, 999, HOST, 1001, 1500])
USAGES = st.integers(0, TOTAL // 4) | st.sampled_from([0, 1, 261, 262, 263, 10_000])
CONTAINERS = st.lists(
    st.builds(Container, st.just(0), PRIORITIES, USAGES, st.integers(-997, 1000)), min_size=1, max_size=30
).map(lambda found: [replace(each, id=number) for number, each in enumerate(found)])
SPANS = st.tuples(st.integers(-900 * 262, 0), st.integers(0, 200 * 262)).map(lambda edges: Span(*edges))
SCOPES = st.lists(
    st.builds(Scope, st.just("any"), st.integers(TOTAL // 2, TOTAL), st.just(STARTING) | SPANS), min_size=1, max_size=3
)
# All of these fit: each level takes a few hundredths of the room, above the host processes and below them.
MODEST = st.lists(
    st.builds(Container, st.just(0), PRIORITIES, st.integers(0, 2600), st.integers(-700, 300)), max_size=20
).map(lambda found: [replace(each, id=number) for number, each in enumerate(found)])
MODEST_SCOPES = st.lists(
    st.builds(
        Scope,
        st.just("any"),
        st.integers(TOTAL * 9 // 10, TOTAL),
        st.just(STARTING)
        | st.tuples(st.integers(-700 * 235, 0), st.integers(0, 300 * 235)).map(lambda edges: Span(*edges)),
    ),
    min_size=1,
    max_size=2,
)


def badness(usage: int, score: int, total: int) -> int:
    """Return the result of oom_badness() in mm/oom_kill.c, Linux 6.12."""
    return usage + score * (total // 1000)


def killed(containers: list[Container], scores: dict[int, int], scope: Scope) -> list[int]:
    """Return the priorities in the order in which the kernel kills their containers, one after the other."""
    ranked = sorted(containers, key=lambda each: -badness(each.usage, scores[each.id], scope.total))
    return [each.priority for each in ranked]


def distances(containers: list[Container], solution: Solution, scopes: list[Scope]) -> Iterator[tuple[int, int]]:
    """Yield the distance of each priority from each lower one, in each scope, with the priority."""
    for scope in scopes:
        levels = {HOST: [scope.host.lowest, scope.host.highest]}
        for each in containers:
            points = badness(each.usage, solution.scores[each.id], scope.total)
            levels.setdefault(each.priority, []).append(points)
        yield from ((high, min(levels[low]) - max(levels[high])) for low in levels for high in levels if low < high)


def of_levels(*usages: list[int]) -> list[Container]:
    """Return containers of the priorities 0, 1, 2 and so on, with the usages of each."""
    pairs = [(priority, usage) for priority, level in enumerate(usages) for usage in level]
    return [Container(number, priority, usage) for number, (priority, usage) in enumerate(pairs)]


@given(CONTAINERS, SCOPES)
def test_the_kernel_kills_in_the_order_of_priorities(containers: list[Container], scopes: list[Scope]) -> None:
    """In every scope each container has a larger badness than all containers of higher priorities."""
    solution = solve(containers, scopes, HOST)
    assume(not solution.order.broken)

    for scope in scopes:
        order = killed(containers, dict(solution.scores), scope)
        assert sorted(order) == order


@given(CONTAINERS, SCOPES)
def test_host_processes_die_at_their_priority(containers: list[Container], scopes: list[Scope]) -> None:
    """They die after all containers of a lower priority and before all containers of a higher one."""
    solution = solve(containers, scopes, HOST)
    assume(not solution.order.broken)

    for each, scope in ((each, scope) for each in containers for scope in scopes):
        points = badness(each.usage, solution.scores[each.id], scope.total)
        assert each.priority >= HOST or points > scope.host.highest
        assert each.priority <= HOST or points < scope.host.lowest


@given(CONTAINERS, SPANS, st.integers(TOTAL // 2, TOTAL), st.sampled_from([100, HOST]))
@example([Container(0, 200, TOTAL // 4), Container(1, 500, 0), Container(2, 999, 0)], STARTING, TOTAL // 2, 100)
def test_a_process_that_starts_in_a_scope_without_host_processes_dies_in_its_place(
    containers: list[Container], host: Span, total: int, priority: int
) -> None:
    """A process of the host's priority that holds nothing yet outlives all lower priorities, and no higher one."""
    node, pods = replace(NODE, host=host), Scope("Kubepods", total)
    solution = solve(containers, [node, pods], priority)
    assume(not solution.order.broken)

    for each in containers:
        points = badness(each.usage, solution.scores[each.id], total)
        assert each.priority >= priority or points > 0
        assert each.priority <= priority or points < 0


@given(MODEST, MODEST_SCOPES)
def test_all_constraints_hold_if_there_is_room(containers: list[Container], scopes: list[Scope]) -> None:
    """Nothing is reported as broken, and every container dies in its place, in all scopes."""
    solution = solve(containers, scopes, HOST)

    assert () == solution.order.broken
    for scope in scopes:
        points = {each.id: badness(each.usage, solution.scores[each.id], scope.total) for each in containers}
        for one, other in permutations(containers, 2):
            assert one.priority >= other.priority or points[one.id] > points[other.id]
        for each in containers:
            assert each.priority >= HOST or points[each.id] > scope.host.highest
            assert each.priority <= HOST or points[each.id] < scope.host.lowest


@given(CONTAINERS, SCOPES)
def test_each_container_has_a_score_that_the_adjuster_may_write(
    containers: list[Container], scopes: list[Scope]
) -> None:
    """The kubelet's values for protected processes are below all scores."""
    scores = solve(containers, scopes, HOST).scores

    assert {each.id for each in containers} == set(scores)
    assert all(-997 <= score <= 1000 for score in scores.values())


@given(CONTAINERS, SCOPES)
def test_the_largest_of_a_level_dies_first(containers: list[Container], scopes: list[Scope]) -> None:
    """Containers of one priority have the order of their usage, also if other constraints cannot hold."""
    scores = solve(containers, scopes, HOST).scores

    for one, other in permutations(containers, 2):
        if one.priority == other.priority != HOST and one.usage >= other.usage:
            assert scores[one.id] <= scores[other.id]
            for scope in scopes:
                mine, its = (badness(each.usage, scores[each.id], scope.total) for each in (one, other))
                assert mine > its or one.usage == other.usage
                assert one.usage > other.usage or mine == its


@given(st.lists(st.integers(0, 1500), min_size=3, max_size=12), st.integers(5_000, TOTAL // 4), SCOPES)
def test_containers_of_nearly_the_same_size_keep_their_order(
    usages: list[int], largest: int, scopes: list[Scope]
) -> None:
    """They differ by less than a step of a score, and a larger one pulls all of them up."""
    containers = of_levels([0], [largest, *usages], [0], [0], [0], [0])
    bare = [replace(scope, host=STARTING) for scope in scopes]
    scores = solve(containers, bare, HOST).scores
    level = sorted((each for each in containers if each.priority == 1), key=lambda each: -each.usage)

    for scope in bare:
        points = [badness(each.usage, scores[each.id], scope.total) for each in level]
        assert sorted(points, reverse=True) == points
        assert len({each.usage for each in level}) == len(set(points))


@given(CONTAINERS)
def test_a_container_of_the_hosts_priority_is_like_a_host_process(containers: list[Container]) -> None:
    """It keeps the protection that its runtime gave to it, and nothing makes it worse than a process with 0."""
    scores = solve(containers, [NODE], HOST).scores

    for each in containers:
        assert each.priority != HOST or scores[each.id] == min(0, each.original)


@given(CONTAINERS, SCOPES, st.data())
def test_growth_below_the_margin_keeps_the_order(
    containers: list[Container], scopes: list[Scope], data: st.DataObject
) -> None:
    """However many processes grow by fewer pages than the margin, the order of priorities is the same."""
    solution = solve(containers, scopes, HOST)
    assume(not solution.order.broken)
    growth = st.integers(0, solution.order.margin - 1)
    grown = [replace(each, usage=each.usage + data.draw(growth)) for each in containers]
    host = data.draw(growth)

    for scope in scopes:
        order = killed(grown, dict(solution.scores), scope)
        assert sorted(order) == order
        points = [badness(each.usage, solution.scores[each.id], scope.total) for each in grown if each.priority < HOST]
        assert not points or min(points) > scope.host.highest + host


@given(CONTAINERS, SCOPES)
def test_growth_by_the_margin_can_break_the_order(containers: list[Container], scopes: list[Scope]) -> None:
    """The margin is not smaller than it must be: some container or host process that grows by it reaches another."""
    solution = solve(containers, scopes, HOST)
    margin = solution.order.margin
    assume(not solution.order.broken)
    assume(margin < max(scope.total for scope in scopes))

    assert margin in {gap for _, gap in distances(containers, solution, scopes)}


@given(CONTAINERS, SCOPES)
def test_the_margin_of_a_priority_is_the_distance_from_lower_ones(
    containers: list[Container], scopes: list[Scope]
) -> None:
    """It is that of the scope in which it is the smallest, and 0 if a constraint does not hold."""
    solution = solve(containers, scopes, HOST)
    expected: dict[int, int] = {}
    for priority, gap in distances(containers, solution, scopes):
        expected[priority] = max(0, min(gap, expected.get(priority, gap)))

    assert expected == solution.order.margins


@given(
    st.lists(st.lists(st.integers(0, TOTAL // 100), min_size=1, max_size=4), min_size=1, max_size=10),
    st.integers(0, TOTAL // 5),
)
def test_the_margin_is_a_fair_share_of_the_memory(usages: list[list[int]], host: int) -> None:
    """Each level gets its share of the room above the host processes. A quarter of it, and rounding, goes to usage."""
    containers = of_levels(*usages)
    order = solve(containers, [replace(NODE, host=Span(0, host))], HOST).order
    steps_for_rounding = len(containers) + len(usages)
    room = (1000 - steps_for_rounding) * NODE.step - host

    assert () == order.broken
    assert room * 4 // 5 // len(usages) <= order.margin + 1


@given(CONTAINERS, SCOPES, st.data())
def test_the_solution_does_not_depend_on_the_order_of_its_input(
    containers: list[Container], scopes: list[Scope], data: st.DataObject
) -> None:
    shuffled = data.draw(st.permutations(containers))

    assert solve(containers, scopes, HOST) == solve(shuffled, scopes, HOST)


@given(
    st.lists(st.lists(st.integers(0, TOTAL), min_size=1, max_size=3), min_size=2, max_size=12),
    st.integers(0, 1100 * 262),
)
@example([[TOTAL], [0], [TOTAL], [0], [TOTAL]], 0)
@example([[0], [TOTAL * 2], [0], [TOTAL * 2]], 0)
def test_the_lowest_levels_are_exact_if_not_all_fit(usages: list[list[int]], highest: int) -> None:
    """Every level below the first one that is named as broken dies before all others, and before the host processes."""
    containers = of_levels(*usages)
    solution = solve(containers, [replace(NODE, host=Span(0, highest))], HOST)
    first = min((each.lower for each in solution.order.broken), default=HOST)
    order = killed(containers, dict(solution.scores), NODE)
    exact = [priority for priority in sorted(order) if priority < first]

    assert exact == order[: len(exact)]
    for each in containers:
        points = badness(each.usage, solution.scores[each.id], TOTAL)
        assert each.priority >= first or points > highest


def test_more_levels_than_steps_are_reported() -> None:
    """With 1,001 levels below the host processes, the lowest 1,000 find room, and the last one is named."""
    containers = [Container(priority, priority, 0) for priority in range(1001)]
    solution = solve(containers, [replace(NODE, host=Span(0, 0))], 2000)

    assert (Broken("Node", lower=1000, higher=2000),) == solution.order.broken
    assert [*range(1001)] == killed(containers, dict(solution.scores), NODE)
    assert "scope Node: priority 2000 may die before priority 1000" == str(solution.order.broken[0])


def test_levels_that_no_score_can_order_are_all_reported() -> None:
    """There are 1,998 scores. The highest levels share the last one, and the report names each of them.

    It also names the host processes, which have score 0 like priority 1000.
    """
    containers = [Container(priority, priority, 0) for priority in range(2000)]
    solution = solve(containers, [NODE], 3000)

    named = [Broken("Node", lower=1997, higher=higher) for higher in (1998, 1999)]
    assert [*named, Broken("Node", lower=1000, higher=3000)] == [*solution.order.broken]
    assert -997 == solution.scores[1997] == solution.scores[1999]


def test_a_host_process_of_badness_1000_does_not_change_the_order_of_containers() -> None:
    """A user's process with oom_score_adj 1000 dies before small containers, and these keep their order."""
    containers = of_levels([100, 50], [200], [300])
    solution = solve(containers, [replace(NODE, host=Span(0, 1000 * NODE.step + 400))], HOST)

    assert [0, 0, 1, 2] == killed(containers, dict(solution.scores), NODE)
    assert (Broken("Node", lower=0, higher=HOST),) == solution.order.broken
    assert solution.order.margin > TOTAL // 4


def test_a_large_container_above_the_host_is_reported() -> None:
    """A container with a third of the memory cannot die after a host process with -900, but dies after all others."""
    large = Container(1, 1500, TOTAL // 3)
    solution = solve([Container(0, 100, 10), large], [replace(NODE, host=Span(-900 * NODE.step, 5000))], HOST)

    assert (Broken("Node", lower=HOST, higher=1500),) == solution.order.broken
    assert [100, 1500] == killed([Container(0, 100, 10), large], dict(solution.scores), NODE)


def test_no_container_needs_no_scores() -> None:
    """The margin is then all memory."""
    solution = solve([], [NODE], HOST)

    assert {} == solution.scores
    assert TOTAL == solution.order.margin


def test_a_scope_without_a_step_is_refused() -> None:
    with pytest.raises(ValueError, match="scope Tiny has 999 pages: scores have no effect below 1000"):
        Scope("Tiny", 999)


def test_a_solution_of_a_full_node_is_exact_in_both_scopes() -> None:
    """110 containers on seven levels hold all memory. Every pair of levels is in order, on the node and in all pods."""
    priorities = (0, 200, 500, 800, 950, HOST, HOST)
    containers = [Container(number, priorities[number % 7], 40 * number + 100) for number in range(110)]
    node, pods = replace(NODE, host=Span(-900 * NODE.step, 9000)), Scope("Kubepods", TOTAL * 9 // 10)
    solution: Solution = solve(containers, [node, pods], HOST)

    assert () == solution.order.broken
    assert solution.order.margin > TOTAL // 10
    for scope in (node, pods):
        order = killed(containers, dict(solution.scores), scope)
        assert sorted(order) == order

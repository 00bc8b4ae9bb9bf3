# SPDX-License-Identifier: Apache-2.0
"""The model knows which processes die together, and random scenes keep to their dimensions."""

from __future__ import annotations

import random

from tests.node.model import Candidate, Rules, dying_with, random_groups, random_path, victim
from tests.node.scene import DEEPEST

POD = ("kubepods", "pod0")
CHOSEN = Candidate(0, (*POD, "container0", "leaf"), 4, 0)
BESIDE = Candidate(1, (*POD, "container0", "nested", "leaf"), 6, 0)
UNKILLABLE = Candidate(2, (*POD, "container0", "leaf"), 8, -1000)
OTHER = Candidate(3, (*POD, "container1", "leaf"), 10, -999)
ALL = (CHOSEN, BESIDE, UNKILLABLE, OTHER)


def test_a_process_without_a_group_dies_alone() -> None:
    assert {0: CHOSEN} == dying_with(CHOSEN, ALL, [(*POD, "container1")])


def test_a_container_dies_as_a_whole_but_for_the_unkillable() -> None:
    assert {0: CHOSEN, 1: BESIDE} == dying_with(CHOSEN, ALL, [(*POD, "container0")])


def test_the_topmost_group_dies() -> None:
    """A protected process dies with it."""
    assert {0, 1, 3} == set(dying_with(CHOSEN, ALL, [(*POD, "container0", "leaf"), POD]))


def test_a_name_that_begins_alike_is_another_cgroup() -> None:
    assert {0: CHOSEN} == dying_with(CHOSEN, ALL, [("kubepods", "pod")])


def test_the_minimum_counts_the_whole_of_a_processs_own_group() -> None:
    """The group of 12 MiB has the lower priority, and without it the process of 4 MiB is passed over."""
    entries: dict[tuple[str, ...], int] = {(*POD, "container0"): 100, (*POD, "container1"): 200}
    candidates = [CHOSEN, Candidate(3, (*POD, "container1", "leaf"), 10, 0)]

    assert 3 == victim(candidates, entries, 16384, Rules(7))
    assert 0 == victim(candidates, entries, 16384, Rules(7, whole_mib={CHOSEN.path: 12}))


def test_the_minimum_counts_the_topmost_group_above_a_process() -> None:
    """The kernel kills the topmost one, so the smaller group inside does not count."""
    entries: dict[tuple[str, ...], int] = {(*POD, "container0"): 100, (*POD, "container1"): 200}
    candidates = [CHOSEN, Candidate(3, (*POD, "container1", "leaf"), 10, 0)]

    assert 0 == victim(candidates, entries, 16384, Rules(7, whole_mib={CHOSEN.path[:-1]: 12, CHOSEN.path: 4}))
    assert 3 == victim(candidates, entries, 16384, Rules(7, whole_mib={("kubepods", "pod1"): 12}))


def test_deep_paths_reach_the_deepest_level_and_not_more() -> None:
    rng = random.Random(1)  # noqa: S311 (scenes, not secrets)
    lengths = {len(random_path(rng, DEEPEST)) for _ in range(500)}

    assert DEEPEST == max(lengths)
    assert 4 == min(lengths)


def test_no_group_is_the_cgroup_that_reaches_its_limit() -> None:
    rng = random.Random(1)  # noqa: S311 (scenes, not secrets)
    found = [random_groups(rng, [CHOSEN.path, BESIDE.path]) for _ in range(500)]

    assert any(found)
    assert not any(("kubepods",) in groups for groups in found)

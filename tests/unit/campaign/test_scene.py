# SPDX-License-Identifier: Apache-2.0
"""A scene finds each difference between the dead and the model, and nothing else."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, cast

import pytest

from tests.node.model import Candidate, Rules
from tests.node.scene import TRIGGER, VARIANTS, Entries, Scene

if TYPE_CHECKING:
    from tests.node.machine import Node

LOW = Candidate(0, ("kubepods", "low", "leaf"), 4, 0)
LOWS = Candidate(1, ("kubepods", "low", "leaf"), 2, 0)
HIGH = Candidate(2, ("kubepods", "high", "leaf"), 12, 0)
UNKILLABLE = Candidate(3, ("kubepods", "low", "leaf"), 8, -1000)
ENTRIES: Entries = {("kubepods", "low"): 100, ("kubepods", "high"): 500, TRIGGER.path: 1000}


class NoCgroup:
    """A cgroup without a kernel."""

    def write(self, name: str, value: int) -> None: ...


class NoNode:
    """A node without a kernel."""

    def cgroup(self, relative: str, memory__max: int) -> NoCgroup:
        assert ("kubepods", 64 << 20) == (relative, memory__max)
        return NoCgroup()

    def swap(self, mib: int) -> None: ...


def scene(*groups: tuple[str, ...], variant: str = "plain") -> Scene:
    made = Scene(cast("Node", NoNode()), random.Random(1), VARIANTS[variant])  # noqa: S311 (scenes, not secrets)
    made.living = {each.name: each for each in (LOW, LOWS, HIGH, UNKILLABLE, TRIGGER)}
    made.groups = set(groups)
    return made


@pytest.mark.parametrize("died", [[0], [0, 1], [0, 1, 2], [0, 1, 2, TRIGGER.name]])
def test_the_order_of_the_model_is_right_as_far_as_the_kernel_kills(died: list[int]) -> None:
    found = scene()

    assert found.wrong(died, ENTRIES) is None
    assert not set(died) & set(found.living)


@pytest.mark.parametrize(
    ("died", "left", "wanted"),
    [
        ([2], "[2]", "0"),
        ([TRIGGER.name], "[-1]", "0"),
        ([0, 2], "[2]", "1"),
        ([3], "[3]", "0"),
        ([0, 1, 2, TRIGGER.name, 3], "[3]", "no process"),
    ],
)
def test_a_victim_out_of_order_is_wrong(died: list[int], left: str, wanted: str) -> None:
    difference = scene().wrong(died, ENTRIES)

    assert difference
    assert difference.startswith(f"the kernel killed {left}, the model {wanted}: living [")


def test_a_group_dies_together_in_any_order_of_its_members() -> None:
    """The unkillable process of the group lives."""
    assert scene(("kubepods", "low")).wrong([0, 1], ENTRIES) is None
    assert scene(("kubepods", "low")).wrong([0, 1, 2], ENTRIES) is None


@pytest.mark.parametrize("died", [[0], [0, 2], [1, 0], [0, 3, 1]])
def test_a_missing_or_foreign_member_and_another_first_victim_are_wrong(died: list[int]) -> None:
    difference = scene(("kubepods", "low")).wrong(died, ENTRIES)

    assert difference
    assert "the model 0 with [1]: living [" in difference


def test_with_rules_only_the_first_choice_is_compared() -> None:
    """The rules pass over the two small processes, so the large one dies first. All of the dead leave the scene."""
    rules = Rules(minimum_mib=7)
    right, wrong = scene(), scene()

    assert right.wrong([2, 1], ENTRIES, rules) is None
    assert {0, 3, TRIGGER.name} == set(right.living)
    assert wrong.wrong([0], ENTRIES, rules)


def test_swap_belongs_to_the_memory_of_the_scope() -> None:
    """The kernel counts it in the total, which one step of oom_score_adj is a thousandth of."""
    assert 16384 == scene().pages
    assert 20480 == scene(variant="swap").pages

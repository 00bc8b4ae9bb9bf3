# SPDX-License-Identifier: Apache-2.0
"""The totals are those that the kernel uses for the badness, and the share that is left decides the pace."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from oompolicy_agent.adjuster import memory, pace
from oompolicy_agent.adjuster.memory import Memory

if TYPE_CHECKING:
    from pathlib import Path

PAGE = os.sysconf("SC_PAGESIZE")
MIB = (1 << 20) // PAGE


@pytest.fixture
def meminfo(tmp_path: Path) -> Path:
    path = tmp_path / "meminfo"
    path.write_text(
        "MemTotal: 1048576 kB\nMemFree: 1 kB\nMemAvailable: 262144 kB\nSwapTotal: 524288 kB\n"
        "SwapFree: 131072 kB\nHugePages_Total: 0\n"
    )
    return path


@pytest.fixture
def cgroup(tmp_path: Path) -> Path:
    folder = tmp_path / "kubepods"
    folder.mkdir()
    files = {
        "memory.max": str(800 << 20),
        "memory.swap.max": "0",
        "memory.current": str(700 << 20),
        "memory.stat": f"anon 1\nactive_file {50 << 20}\ninactive_file {30 << 20}\nslab_reclaimable {20 << 20}",
    }
    for name, text in files.items():
        (folder / name).write_text(text + "\n")
    return folder


def test_the_node_has_all_memory_and_all_swap(meminfo: Path) -> None:
    assert Memory(1536 * MIB, 384 * MIB) == memory.of_node(meminfo)
    assert 0.25 == memory.of_node(meminfo).share_left


def test_a_cgroup_has_its_limit_without_what_can_be_reclaimed(cgroup: Path, meminfo: Path) -> None:
    assert Memory(800 * MIB, 200 * MIB) == memory.of_cgroup(cgroup, meminfo)


@pytest.mark.parametrize(("limit", "total"), [("max", 800 + 512), (str(100 << 20), 900), (str(900 << 20), 800 + 512)])
def test_a_cgroup_may_swap_as_much_as_there_is(cgroup: Path, meminfo: Path, limit: str, total: int) -> None:
    (cgroup / "memory.swap.max").write_text(limit + "\n")
    found = memory.of_cgroup(cgroup, meminfo)

    assert found
    assert total * MIB == found.total


@pytest.mark.parametrize(("swappiness", "total"), [("0", 800), ("1", 800 + 512)])
def test_a_cgroup_has_no_swap_if_nothing_may_be_swapped(
    cgroup: Path, meminfo: Path, tmp_path: Path, swappiness: str, total: int
) -> None:
    """That is so in mem_cgroup_get_max() of mm/memcontrol.c. The total of the node has the swap in any case."""
    (cgroup / "memory.swap.max").write_text("max\n")
    (tmp_path / "swappiness").write_text(swappiness + "\n")
    found = memory.of_cgroup(cgroup, meminfo, tmp_path / "swappiness")

    assert found
    assert total * MIB == found.total
    assert 1536 * MIB == memory.of_node(meminfo).total


def test_a_cgroup_without_a_limit_is_no_scope(cgroup: Path, meminfo: Path) -> None:
    (cgroup / "memory.max").write_text("max\n")

    assert memory.of_cgroup(cgroup, meminfo) is None
    assert memory.of_cgroup(cgroup / "gone", meminfo) is None


def test_more_used_than_allowed_leaves_nothing() -> None:
    assert 0 == Memory(100, -5).share_left


@pytest.mark.parametrize("growth", [0.05, 0.2, 0.45])
def test_the_memory_is_read_before_a_growing_container_has_taken_it(growth: float) -> None:
    """That holds from any amount on, if the rest lasts for longer than the shortest time between two looks."""
    for percent in range(1, 101):
        left = percent / 100
        if left > growth * pace.SHORTEST:
            assert growth * pace.check_after(left) < left
            assert pace.check_after(left) <= pace.pause(left)


def test_the_pause_follows_the_memory_that_is_left() -> None:
    """It is 20 s on an idle node, seconds while a quarter is free, and 200 ms close to the end."""
    shares = [each / 100 for each in range(101)]
    pauses = [pace.pause(share) for share in shares]

    assert sorted(pauses) == pauses
    assert 20 == pauses[50] == pauses[100]
    assert 1 < pauses[25] < 2
    assert 0.2 == pauses[0] == pauses[5]


@pytest.mark.parametrize(
    ("elapsed", "left", "left_then", "margin", "due"),
    [
        (19.9, 0.6, 0.6, 0.1, False),
        (20, 0.6, 0.6, 0.1, True),
        (0.3, 0.05, 0.05, 0.1, True),
        (1, 0.6, 0.62, 0.1, False),
        (1, 0.6, 0.63, 0.1, True),
        (0.1, 0.6, 0.9, 0.1, False),
    ],
)
def test_a_look_is_due_by_time_or_by_growth(
    elapsed: float, left: float, left_then: float, margin: float, *, due: bool
) -> None:
    """A quarter of the margin that was used up is a reason, but no look follows another within 200 ms."""
    assert due is pace.is_due(elapsed, left, left_then, margin)

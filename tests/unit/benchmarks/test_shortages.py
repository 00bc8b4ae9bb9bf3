# SPDX-License-Identifier: Apache-2.0
"""The table of kills beyond need, and its goal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from benchmarks.shortages import Shortage, Shortages

if TYPE_CHECKING:
    from pathlib import Path


def of_kills(bare: list[int], enforced: list[int]) -> Shortages:
    """Return shortages of one size with these numbers of kills."""
    return Shortages(
        [Shortage("node", 34, False, kills, 0.25) for kills in bare]
        + [Shortage("node", 34, True, kills, 0.5) for kills in enforced]
    )


def test_a_kill_after_the_first_one_is_beyond_need(tmp_path: Path) -> None:
    """The file for the host keeps all results."""
    of_kills([1, 2, 4], [1, 1, 2]).write(tmp_path / "file.json")
    rows = Shortages.read(tmp_path / "file.json").table().splitlines()

    assert "| node | 34 MiB | bare kernel | 3 | 4 | 250 ms | 250 ms |" == rows[2]
    assert "| node | 34 MiB | oompolicy | 3 | 1 | 500 ms | 500 ms |" == rows[3]


@pytest.mark.parametrize(("enforced", "word"), [([1, 3], "reached"), ([2, 3], "missed")])
def test_the_goal_is_half_of_the_kills_beyond_need(enforced: list[int], word: str) -> None:
    assert f"kills beyond need: {word} (" in of_kills([3, 3], enforced).verdict()

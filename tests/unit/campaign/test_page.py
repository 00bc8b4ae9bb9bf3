# SPDX-License-Identifier: Apache-2.0
"""The page has every result: sums, a row for each target and variant, and each fault by its name."""

from __future__ import annotations

import pytest

from campaign.page import ranges, render
from campaign.plan import named
from campaign.results import Found, Result, Wrong


def result(name: str, kills: int = 60, wrong: int = 0, failure: str = "", date: str = "2026-11-28") -> Result:
    differences = [Wrong(7 + number, "the kernel killed [2], the model 3") for number in range(wrong)]
    found = Found("", 0) if failure else Found("6.12.1", kills, differences)
    return Result(named(name, 50), "abc", date, 1800.0, found, failure)


def test_the_sum_counts_what_ended() -> None:
    """A round that failed is no part of it."""
    page = render([result("trixie/module/plain/1"), result("trixie/scores/swap/1", failure="lost")], 10_000)

    assert page.startswith("**50 of 10,000 OOMs are done, with 60 victims. Wrong: 0.** 1 rounds, ")
    assert "2026-11-28 to 2026-11-28, 0.5 hours." in page


def test_a_round_that_was_repeated_counts_once() -> None:
    """The last result of it counts."""
    page = render([result("trixie/module/plain/1", 60), result("trixie/module/plain/1", 64)], 100)

    assert "**50 of 100 OOMs are done, with 64 victims." in page


def test_a_row_has_the_seeds_of_a_target_and_variant() -> None:
    names = [f"trixie/module/deep/{seed}" for seed in (3, 1, 2, 7)]
    page = render([*map(result, names), result("trixie/module/plain/1")], 10_000)

    rows = [line for line in page.splitlines() if line.startswith("| hook")]
    assert [
        "| hook in a module | 6.12.1 | `plain` | 50 | 60 | 0 | `trixie/module/plain/` 1 | abc |",
        "| hook in a module | 6.12.1 | `deep` | 200 | 240 | 0 | `trixie/module/deep/` 1 to 3, 7 | abc |",
    ] == rows


def test_every_wrong_victim_and_every_failed_round_is_listed() -> None:
    page = render(
        [
            result("bookworm/scores/all/2", wrong=2),
            result("patched-6.12/kernel/rules/1", failure="the guest was lost: panic; the console ends with:\nmore"),
        ],
        10_000,
    )

    assert "Wrong: 2.**" in page
    assert "| scores | 6.12.1 | `all` | 50 | 60 | 2 |" in page
    assert [
        "- `bookworm/scores/all/2`, OOM 7, 6.12.1, abc: the kernel killed [2], the model 3",
        "- `bookworm/scores/all/2`, OOM 8, 6.12.1, abc: the kernel killed [2], the model 3",
        "- `patched-6.12/kernel/rules/1`, 2026-11-28, abc, did not end: the guest was lost: panic",
    ] == [line for line in page.splitlines() if line.startswith("- ")]


def test_a_page_without_faults_says_so() -> None:
    assert render([result("trixie/module/plain/1")], 50).endswith("No victim was wrong, and every round ended.\n")


def test_a_page_without_results_has_no_date() -> None:
    assert render([], 10_000).startswith("**0 of 10,000 OOMs are done, with 0 victims. Wrong: 0.** 0 rounds.\n")


@pytest.mark.parametrize(
    ("seeds", "text"), [([1], "1"), ([1, 2], "1 to 2"), ([1, 3, 4, 5, 9], "1, 3 to 5, 9"), ([], "")]
)
def test_seeds_are_shown_as_ranges(seeds: list[int], text: str) -> None:
    assert text == ranges(seeds)

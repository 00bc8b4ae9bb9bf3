# SPDX-License-Identifier: Apache-2.0
"""The file of results survives an interruption at any byte."""

from __future__ import annotations

from typing import TYPE_CHECKING

from campaign.plan import plan
from campaign.results import Found, Result, Wrong, append, read

if TYPE_CHECKING:
    from pathlib import Path

ROUNDS = plan(150, 50)
RESULTS = [
    Result(ROUNDS[0], "abc", "2026-11-28", 61.5, Found("6.12", 70, [Wrong(3, "the kernel killed [1]")])),
    Result(ROUNDS[1], "abc", "2026-11-28", 0.5, Found("", 0), "the guest was lost"),
    Result(ROUNDS[2], "def", "2026-11-29", 60.0, Found("7.3", 55)),
]


def test_a_missing_file_has_no_results(tmp_path: Path) -> None:
    assert [] == read(tmp_path / "results.jsonl")


def test_results_are_read_as_they_were_written(tmp_path: Path) -> None:
    file = tmp_path / "campaign/results.jsonl"
    for result in RESULTS:
        append(file, result)

    assert RESULTS == read(file)
    assert 3 == file.read_text().count("\n")


def test_a_line_that_was_cut_at_any_byte_is_missing_and_is_replaced(tmp_path: Path) -> None:
    """The earlier results stay, and the next one has a line of its own."""
    file = tmp_path / "results.jsonl"
    append(file, RESULTS[0])
    first = file.stat().st_size
    append(file, RESULTS[1])
    whole = file.read_bytes()

    for size in range(first, len(whole)):
        file.write_bytes(whole[:size])
        assert [RESULTS[0]] == read(file)
        append(file, RESULTS[2])
        assert [RESULTS[0], RESULTS[2]] == read(file)

# SPDX-License-Identifier: Apache-2.0
"""The tables of a page are read as they are, and an error names the section that lacks a figure."""

from __future__ import annotations

import pytest

from benchmarks.tables import PageError, Place, Row, cells, place, total

PAGE = """\
# Page

## Before

| load | time, s |
|---|---|
| none | 99 |

## How long it takes

This run was quick.

### Results

<!-- run: begin -->

Kernel 6.12, 2026-11-28.

10 tasks:

| load | time, s |
| --- | --- |
| none | 1,234.5 |
| some | 7 (6 to 8) |
| the same, divided by 2 | 3 |
| much | 9 |
| the same, divided by 2 | 4 |

20 tasks:

| load | time, s | |
|---|---|---|
| none | 5 | `x` |

<!-- run: end -->

## After

<!-- empty: begin -->
<!-- empty: end -->
"""


def found(document: str = PAGE, name: str = "run") -> Place:
    return place("page.md", document, name)


def test_a_place_has_the_section_around_it() -> None:
    one = found()

    assert ("How long it takes", "#how-long-it-takes") == (one.heading, one.anchor)
    assert "This run was quick." in one.section
    assert "99" not in one.section
    assert "## After" not in one.section


def test_a_table_has_the_line_above_it_as_its_caption() -> None:
    first, second = found().tables("load", "time, s")

    assert ("10 tasks:", "20 tasks:") == (first.caption, second.caption)
    assert {"load": "none", "time, s": "5", "": "`x`"} == second.row("none").cells


def test_only_tables_between_the_marks_are_read() -> None:
    """A table that explains something can have the same columns."""
    assert "1,234.5" == found().table("load").row("none")["time, s"]
    assert ["20 tasks:"] == [table.caption for table in found().tables("load", "")]


def test_a_row_below_another_one_is_found_from_there_on() -> None:
    table = found().table("load")

    assert "3" == table.below("some", "the same")["time, s"]
    assert "4" == table.below("much", "the same")["time, s"]


def test_a_place_without_a_result_has_no_tables() -> None:
    assert [] == found(name="empty").tables("load")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("<!-- run: begin -->\n", "", "page.md has no <!-- run: begin --> with its end"),
        ("<!-- run: end -->", "", "page.md has no <!-- run: begin --> with its end"),
        ("\n## ", "\n# ", 'page.md: no heading that begins with "## " is above <!-- run: begin -->'),
        ("| load |", "| size |", 'page.md, section "How long it takes": there is no table with rows and the columns'),
        ("| some |", "| few |", 'page.md, section "How long it takes": the table has no row "some"'),
        (
            "| --- | --- |\n",
            "",
            'page.md, section "How long it takes": the table "| load | time, s |" has no line below',
        ),
        ("| much | 9 |", "| much |", 'section "How long it takes": a row has 1 cells in 2 columns: much'),
    ],
)
def test_an_error_names_the_section_and_the_missing_part(old: str, new: str, message: str) -> None:
    broken = PAGE.replace(old, new)
    assert broken != PAGE

    with pytest.raises(PageError) as error:
        found(broken).table("load", "time, s").row("some")

    assert message in str(error.value)


def test_a_table_without_rows_is_missing() -> None:
    """A benchmark that measured nothing writes its columns alone."""
    document = "## A\n\n<!-- run: begin -->\n| load |\n|---|\n<!-- run: end -->\n"

    with pytest.raises(PageError, match='section "A": there is no table with rows and the columns "load"'):
        found(document).table("load")


def test_a_row_must_be_below_the_named_one() -> None:
    with pytest.raises(PageError, match='section "How long it takes": the table has no row "none"'):
        found().table("load").below("some", "none")


def test_a_sentence_is_found_between_the_marks_alone() -> None:
    assert "6.12" == found().find(r"Kernel ([\d.]+)")[1]
    with pytest.raises(PageError, match=r'section "How long it takes": there is no sentence "This run"'):
        found().find("This run")


@pytest.mark.parametrize(
    ("cell", "expected"), [("1,234.5", 1234.5), ("7 (6 to 8)", 7), ("-215.6", -215.6), ("33.1 %", 33.1), ("0", 0)]
)
def test_a_cell_begins_with_its_number(cell: str, expected: float) -> None:
    assert expected == Row("a page", {"load": "none", "s": cell}).number("s")


@pytest.mark.parametrize("cell", ["", "about 5", "n/a", ",", "-"])
def test_a_cell_without_a_number_is_an_error(cell: str) -> None:
    with pytest.raises(PageError, match=r'^a page: "s" of "none" is ".*", which is no number$'):
        Row("a page", {"load": "none", "s": cell}).number("s")


def test_an_empty_last_cell_counts() -> None:
    assert ["a", "", ""] == cells("| a |  |  |")


def test_a_sum_reads_thousands() -> None:
    assert 1300 == total([Row("", {"OOMs": "1,250"}), Row("", {"OOMs": "50"})], "OOMs")

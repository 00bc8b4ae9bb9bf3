# SPDX-License-Identifier: Apache-2.0
"""The demo's output fits 100 columns, and has colours only on a terminal."""

import time

import pytest
import yaml

from demo.node.page import WIDTH, Page, folded, table, wants_colour


@pytest.mark.parametrize(
    ("environment", "terminal", "expected"),
    [
        ({"TERM": "xterm"}, True, True),
        ({"TERM": "xterm", "NO_COLOR": ""}, True, True),
        ({"TERM": "xterm"}, False, False),
        ({"TERM": "xterm", "NO_COLOR": "1"}, True, False),
        ({"TERM": "dumb"}, True, False),
    ],
)
def test_colours_are_only_for_terminals_that_allow_them(
    environment: dict[str, str], *, terminal: bool, expected: bool
) -> None:
    assert expected == wants_colour(environment, terminal=terminal)


def test_columns_are_aligned() -> None:
    assert ["POD    MIB", "web    30", "db-10  110"] == table([("POD", "MIB"), ("web", 30), ("db-10", 110)])


def test_a_folded_line_of_yaml_has_the_same_value() -> None:
    """The printed Event can be copied."""
    note = 'killed "report" in container report of pod batch/report-29393280-lq5rd: ' * 5
    lines = list(folded(f'  note: "{note.replace(chr(34), chr(92) + chr(34)).strip()}"', 60))

    assert len(lines) > 1
    assert all(len(line) <= 60 for line in lines)
    assert {"note": note.strip()} == yaml.safe_load("\n".join(lines))


@pytest.mark.parametrize("colour", [True, False])
def test_no_line_is_wider_than_the_page(capsys: pytest.CaptureFixture[str], *, colour: bool) -> None:
    page = Page(colour, time.time() - 599)
    words = "kernel: file-rss:96kB " * 20

    page.step(words)
    page.text(words, style="dim")
    page.marked("killed", words, "bad")

    printed = capsys.readouterr().out
    assert colour == ("\033[" in printed)
    plain = printed.replace("\033[", "\033")
    for style in ("0m", "2m", "1;31m"):
        plain = plain.replace(f"\033{style}", "")
    assert WIDTH - 10 < max(map(len, plain.splitlines())) <= WIDTH


def test_a_step_has_the_time_of_its_start(capsys: pytest.CaptureFixture[str]) -> None:
    Page(colour=False, started=time.time() - 42).step("booting")

    assert capsys.readouterr().out == "[ 42 s] booting\n"

# SPDX-License-Identifier: Apache-2.0
"""A table is aligned, and no cell of it controls the terminal."""

import pytest

from oompolicy.cli.table import Table, aligned, style_of


def test_columns_are_aligned() -> None:
    """The widest cell of a column decides."""
    lines = aligned(Table(("A", "LONG"), [("wide", "b")]))

    assert ["A      LONG   ", "wide   b      "] == ["".join(line) for line in lines]


@pytest.mark.parametrize(
    ("cell", "shown"), [("\x1b[2J", "\\x1b[2J"), ("a\nb", "a\\nb"), ("\x9b1m", "\\x9b1m"), ("grün", "grün")]
)
def test_control_characters_are_shown_as_text(cell: str, shown: str) -> None:
    """Everybody who may create Events could otherwise write to the screen of an admin."""
    assert shown == aligned(Table(("A",), [(cell,)]))[1][0].rstrip()


@pytest.mark.parametrize(
    ("column", "cell", "style"),
    [
        ("PRIORITY", "PRIORITY", "bold"),
        ("PRIORITY", "100", "red"),
        ("PRIORITY", "500", "yellow"),
        ("PRIORITY", "900", "green"),
        ("ENFORCING", "False", "red"),
        ("ENFORCING", "Unknown", "yellow"),
        ("REASON", "refused: annotation", "red"),
        ("COUNT", "100", ""),
    ],
)
def test_a_colour_shows_what_needs_attention(column: str, cell: str, style: str) -> None:
    """Only the column of priorities has numbers with colours."""
    assert style == style_of(column, cell)

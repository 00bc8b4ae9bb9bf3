# SPDX-License-Identifier: Apache-2.0
"""Lay out tables and choose the colours of their cells. Pure."""

from collections.abc import Sequence
from typing import Final, NamedTuple

_GAP: Final = "   "
_LOW: Final = 300
_HIGH: Final = 700
_STATES: Final = {"True": "green", "False": "red", "Unknown": "yellow"}


class Table(NamedTuple):
    """A header and rows of the same length. A dash stands for a missing value."""

    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def aligned(table: Table) -> list[list[str]]:
    """Return the cells of all lines, the header first. Each cell is padded to its column and its gap.

    A user who may write an Event or a status chooses some texts. No text may control the terminal or end a line.
    """
    lines = [[printable(cell) for cell in line] for line in (table.header, *table.rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [[cell.ljust(width) + _GAP for cell, width in zip(line, widths, strict=True)] for line in lines]


def printable(cell: str) -> str:
    """Return the text with an escape for each character that could control the terminal or end a line."""
    if cell.isprintable():
        return cell
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in cell)


def style_of(column: str, cell: str) -> str:
    """Return rich's name of the style of a cell. Low priorities are red, because those pods die first."""
    if cell == column:
        return "bold"
    if column == "PRIORITY" and cell.isdecimal():
        return "red" if int(cell) < _LOW else "yellow" if int(cell) < _HIGH else "green"
    if cell.startswith("refused: ") or (column == "HELD" and not cell.isdecimal() and cell != "-"):
        return "red"
    return _STATES.get(cell, "")

# SPDX-License-Identifier: Apache-2.0
"""Read the tables that benchmarks wrote into a page between the marks of their places. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from vmtest.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

HEADING: Final = re.compile(r"^## (.+)$", re.MULTILINE)
RULE: Final = re.compile(r"[|\s:-]+")


class PageError(HarnessError):
    """A page has no such place, table, row, figure or sentence."""


@dataclass(frozen=True)
class Row:
    """The cells of a row by the names of their columns, and the section that it is in."""

    where: str
    cells: dict[str, str]

    def __getitem__(self, column: str) -> str:
        return self.cells[column]

    @property
    def name(self) -> str:
        """The first cell."""
        return next(iter(self.cells.values()))

    def number(self, column: str) -> float:
        """Return the number at the beginning of a cell: 1234.0 for `1,234 (of 5)`."""
        if not (found := re.match(r"-?\d[\d,]*(?:\.\d+)?", self.cells[column])):
            raise PageError(f'{self.where}: "{column}" of "{self.name}" is "{self.cells[column]}", which is no number')
        return float(found[0].replace(",", ""))


@dataclass(frozen=True)
class Table:
    """A table, the line above it, and the section that it is in."""

    where: str
    caption: str
    rows: tuple[Row, ...]

    def row(self, start: str) -> Row:
        """Return the first row with a first cell that starts so."""
        return self._first(start, self.rows)

    def below(self, upper: str, start: str) -> Row:
        """Return the first such row below another one. Many rows are named `the same, ...`."""
        number = self.rows.index(self.row(upper))
        return self._first(start, self.rows[number + 1 :])

    def _first(self, start: str, rows: tuple[Row, ...]) -> Row:
        found = [row for row in rows if row.name.startswith(start)]
        if not found:
            raise PageError(f'{self.where}: the table has no row "{start}"')
        return found[0]


@dataclass(frozen=True)
class Place:
    """The text between two marks of a page, and the section with its heading around it."""

    page: str
    heading: str
    section: str
    text: str

    @property
    def where(self) -> str:
        """The place in the words of an error."""
        return f'{self.page}, section "{self.heading}"'

    @property
    def anchor(self) -> str:
        """The link to the section on the page."""
        return "#" + re.sub(r"[^\w\- ]", "", self.heading.lower()).replace(" ", "-")

    def tables(self, *columns: str) -> list[Table]:
        """Return the tables with all of these columns."""
        return [
            Table(self.where, *found)
            for found in tables(self.text, self.where)
            if set(columns) <= found[1][0].cells.keys()
        ]

    def table(self, *columns: str) -> Table:
        """Return the first table with all of these columns."""
        found = self.tables(*columns)
        if not found:
            named = ", ".join(f'"{column}"' for column in columns)
            raise PageError(f"{self.where}: there is no table with rows and the columns {named}")
        return found[0]

    def find(self, pattern: str) -> re.Match[str]:
        """Return the first match in the text between the marks."""
        if not (found := re.search(pattern, self.text)):
            raise PageError(f'{self.where}: there is no sentence "{pattern}"')
        return found


def place(page: str, document: str, name: str) -> Place:
    """Return the place of a document. The page's name is for errors."""
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    start, stop = document.find(begin), document.find(end)
    if not 0 <= start < stop:
        raise PageError(f"{page} has no {begin.strip()} with its end")
    heads = [found for found in HEADING.finditer(document) if found.start() < start]
    if not heads:
        raise PageError(f'{page}: no heading that begins with "## " is above {begin.strip()}')
    after = HEADING.search(document, start)
    section = document[heads[-1].start() : after.start() if after else None]
    return Place(page, heads[-1][1], section, document[start + len(begin) : stop])


def tables(text: str, where: str) -> Iterator[tuple[str, tuple[Row, ...]]]:
    """Yield the caption and the rows of each table that has rows."""
    lines = text.splitlines()
    caption, number = "", 0
    while number < len(lines):
        if not lines[number].startswith("|"):
            caption = lines[number].strip() or caption
            number += 1
            continue
        block = []
        while number < len(lines) and lines[number].startswith("|"):
            block.append(lines[number])
            number += 1
        if len(block) < 2 or not RULE.fullmatch(block[1]):
            raise PageError(f'{where}: the table "{block[0]}" has no line below its names of columns')
        names, rows = cells(block[0]), [cells(line) for line in block[2:]]
        for row in rows:
            if len(row) != len(names):
                raise PageError(f"{where}: a row has {len(row)} cells in {len(names)} columns: {' | '.join(row)}")
        if rows:
            yield caption, tuple(Row(where, dict(zip(names, row, strict=True))) for row in rows)


def cells(line: str) -> list[str]:
    """Return the cells of a line."""
    return [cell.strip() for cell in line.strip().removeprefix("|").removesuffix("|").split("|")]


def total(rows: Iterable[Row], column: str) -> int:
    """Return the sum of a column."""
    return int(sum(row.number(column) for row in rows))

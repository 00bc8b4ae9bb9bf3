# SPDX-License-Identifier: Apache-2.0
"""The printed form of the demo: headings, steps with their time, tables, and colours on a terminal.

Pure but for print.
"""

from __future__ import annotations

import textwrap
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

WIDTH: Final = 100
_STYLES: Final = {"bold": "1", "dim": "2", "bad": "1;31", "good": "1;32", "name": "36"}


def wants_colour(environment: Mapping[str, str], *, terminal: bool) -> bool:
    """Return True for a terminal that supports colours, unless the user refuses them: https://no-color.org."""
    return terminal and not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"


def table(rows: Sequence[Sequence[object]]) -> list[str]:
    """Return columns of the width of their longest cell. The first row is the header."""
    text = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*text, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in text]


def folded(line: str, width: int) -> Iterator[str]:
    """Yield the line in pieces of at most `width`. The indentation of later pieces keeps a YAML string unchanged."""
    indent = line[: len(line) - len(line.lstrip())] + "  "
    yield from textwrap.wrap(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


@dataclass(frozen=True, slots=True)
class Page:
    """The printer. `started` is the time of day of the demo's start, in host and guest alike."""

    colour: bool
    started: float

    def paint(self, style: str, text: str) -> str:
        """Return `text` in one of the styles, if there are colours."""
        return f"\033[{_STYLES[style]}m{text}\033[0m" if self.colour else text

    def heading(self, text: str) -> None:
        """Begin a section."""
        print(f"\n{self.paint('bold', f'=== {text} ===')}", flush=True)

    def text(self, *lines: str, style: str | None = None) -> None:
        """Print indented lines, and fold the long ones."""
        for line in lines:
            for piece in folded(line, WIDTH - 2):
                print(f"  {self.paint(style, piece) if style else piece}", flush=True)

    def step(self, text: str) -> None:
        """Print the next step, with the time since the start."""
        stamp = f"[{time.time() - self.started:3.0f} s]"
        first, *more = folded(text, WIDTH - len(stamp) - 1)
        print(f"{self.paint('dim', stamp)} {first}", *more, sep=f"\n{' ' * (len(stamp) + 1)}", flush=True)

    def table(self, rows: Sequence[Sequence[object]]) -> None:
        """Print a table with a coloured header."""
        header, *lines = table(rows)
        self.text(header, style="name")
        self.text(*lines)

    def marked(self, mark: str, text: str, style: str) -> None:
        """Print a line with a coloured mark: `killed:  postgres`."""
        pieces = list(folded(text, WIDTH - 10))
        for first, piece in zip([f"{mark}:", *[""] * len(pieces)], pieces, strict=False):
            print(f"  {self.paint(style, f'{first:8}')}{piece}", flush=True)

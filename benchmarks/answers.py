# SPDX-License-Identifier: Apache-2.0
"""Write the answers and the chart on top of docs/benchmarks.md from the tables below them: `make generated`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from benchmarks import chart, questions, ratios, tables
from benchmarks.tables import PageError
from vmtest.document import replace
from vmtest.progress import say

CHECKOUT: Final = Path(__file__).parents[1]
PICTURE: Final = "pictures/selection.svg"
"""The chart, from the folder of the page."""


def write(place: str, text: str, checkout: Path = CHECKOUT) -> int:
    """Write the result of a benchmark into its place, and then the answers. Return the exit status."""
    page = checkout / questions.PAGE
    page.write_text(replace(page.read_text(), place, text))
    return main(checkout)


def refresh(checkout: Path = CHECKOUT) -> None:
    """Write answers and chart. PageError if a table is missing, and then nothing changes."""
    page = checkout / questions.PAGE
    document = page.read_text()
    table, svg = made(document, (checkout / questions.CAMPAIGN).read_text())
    (page.parent / PICTURE).write_text(svg)
    page.write_text(replace(document, "answers", table))


def made(document: str, campaign: str) -> tuple[str, str]:
    """Return the text of the answers for the texts of both pages, and the chart. Pure."""
    found = ratios.read(tables.place(questions.PAGE, document, "trixie instructions"))
    picture = f"![{chart.description(found)}]({PICTURE})"
    return f"{questions.render(document, campaign)}\n\n{picture}\n", chart.draw(found)


def main(checkout: Path = CHECKOUT) -> int:
    """Write answers and chart, or say why not."""
    try:
        refresh(checkout)
    except PageError as error:
        say(f"The answers of {questions.PAGE} are unchanged. {error}. Run the benchmark of this section again.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""Tests compare a page's sections, tables and code with the program."""

from __future__ import annotations

import re
from pathlib import Path

CHECKOUT = Path(__file__).parents[3]
DOCS = CHECKOUT / "docs"

CODE = re.compile(r"`([^`]*)`")


def section(page: str, heading: str) -> str:
    """Return the text below a heading, up to the next heading."""
    text = (DOCS / page).read_text()
    found = re.search(rf"^(#+) {re.escape(heading)}$\n(.*?)(?=^#{{1,6}} |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found, f"{page} has no heading {heading}"
    return found[2]


def rows(text: str) -> list[list[str]]:
    """Return the cells of all tables in a text, without their heads."""
    table = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")
    ]
    rules = {number for number, cells in enumerate(table) if set("".join(cells)) <= set("-")}
    return [cells for number, cells in enumerate(table) if number not in rules and number + 1 not in rules]


def codes(cell: str) -> list[str]:
    """Return the parts of a cell between backticks."""
    return CODE.findall(cell)

# SPDX-License-Identifier: Apache-2.0
"""Print to standard output: tables with colours for people at a terminal, plain text and data for all others."""

import io
import json
import os
import sys
from collections.abc import Sequence
from typing import Final

import yaml
from rich.console import Console
from rich.text import Text

from oompolicy.cli.table import Table, aligned, style_of

DATA_FORMATS: Final = ("json", "yaml")


def write(text: str) -> None:
    """Write the text. A reader that closes early, such as `head`, is no error."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file name may contain bytes that are not valid text.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes again when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def write_data(data: object, output: str) -> None:
    """Write JSON or YAML."""
    if output == "json":
        write(json.dumps(data, indent=2, ensure_ascii=False) + "\n")
    else:
        write(yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=200))


def write_table(table: Table, *, empty: str) -> None:
    """Write a table. `empty` is the sentence in place of a table without rows."""
    write(rendered(table) if table.rows else f"{empty}\n")


def rendered(table: Table, *, colour: bool | None = None) -> str:
    """Return the lines of a table. By default they have colours if standard output is a terminal without NO_COLOR.

    rich draws tables too, but needs two seconds for the 6,000 lines of 2,000 pods.
    """
    lines = aligned(table)
    if not (_takes_colour() if colour is None else colour):
        return "".join(f"{''.join(cells).rstrip()}\n" for cells in lines)
    made = io.StringIO()
    console = Console(file=made, force_terminal=True, color_system="standard", no_color=False, soft_wrap=True)
    for cells in lines:
        console.print(_coloured(cells, table.header), highlight=False)
    return made.getvalue()


def _takes_colour() -> bool:
    console = Console(file=io.StringIO(), force_terminal=sys.stdout.isatty() or None)
    return console.color_system is not None and not console.no_color


def _coloured(cells: Sequence[str], header: Sequence[str]) -> Text:
    text = Text()
    for name, cell in zip(header, cells, strict=True):
        text.append(cell, style_of(name, cell.rstrip()))
    text.rstrip()
    return text

# SPDX-License-Identifier: Apache-2.0
"""Marks the tables of the site that a phone shows as a list, for docs/stylesheets/site.css. A hook of MkDocs.

A phone has no room for columns of sentences. In these tables each cell gets its column's name, so that a style can put
the cells below each other. In a table of numbers the columns stay beside each other, and the table scrolls.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from markdown.extensions import Extension
from markdown.treeprocessors import Treeprocessor

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from markdown import Markdown
    from mkdocs.config.defaults import MkDocsConfig

SENTENCE: Final = 30
"""A table has columns of sentences if a cell has more characters than this."""
AFTER_INLINE: Final = 15
"""The priority of a tree processor that sees links and code as elements."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Add the extension to those of mkdocs.yml."""
    config.markdown_extensions.append(_StackedTables())
    return config


class _StackedTables(Extension):
    def extendMarkdown(self, md: Markdown) -> None:  # noqa: N802 - the name is Markdown's
        md.treeprocessors.register(_Labels(md), "stacked-tables", AFTER_INLINE)


class _Labels(Treeprocessor):
    def run(self, root: Element) -> None:
        for table in root.iter("table"):
            rows = list(table.iterfind("tbody/tr"))
            if any(len(_text(cell)) > SENTENCE for row in rows for cell in row):
                table.set("data-stacked", "")
                names = [_text(cell) for cell in table.iterfind("thead/tr/th")]
                for row in rows:
                    _label(row, names)


def _label(row: Element, names: list[str]) -> None:
    for cell, name in zip(row, names, strict=True):
        if name:
            cell.set("data-label", name)


def _text(element: Element) -> str:
    return " ".join("".join(element.itertext()).split())

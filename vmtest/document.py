# SPDX-License-Identifier: Apache-2.0
"""Scripts write their results into a document between the marks of a place."""

from __future__ import annotations


def replace(document: str, place: str, text: str) -> str:
    """Put the text between the marks of its place. ValueError if the marks are missing."""
    begin, end = f"<!-- {place}: begin -->\n", f"<!-- {place}: end -->"
    before, _, rest = document.partition(begin)
    old, mark, after = rest.partition(end)
    if not mark:
        raise ValueError(f"the document has no {begin.strip()} with its end; between them stood {old!r}")
    return f"{before}{begin}\n{text}\n{end}{after}"

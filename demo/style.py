# SPDX-License-Identifier: Apache-2.0
"""The style that the drawn pictures have in common, for a light and a dark page. Pure."""

from __future__ import annotations

from typing import Final

Styles = dict[str, tuple[str, str]]
"""Declarations of CSS by the name of a class: for a light page, and for a dark one."""

_FRAME: Final[Styles] = {
    "paper": ("fill:#ffffff;stroke:#c9d5d4", "fill:#1e2129;stroke:#3a4150"),
    "zone": ("fill:#f2f6f6;stroke:#c9d5d4", "fill:#262b35;stroke:#3a4150"),
}


def sheet(shapes: Styles, texts: Styles) -> str:
    """Return the style element with the classes of all pictures and those of one picture."""
    light, dark = (_rules({**_FRAME, **shapes}, page) for page in (0, 1))
    light_texts, dark_texts = (_rules(texts, page) for page in (0, 1))
    return f"""\
<style>
{light}text{{font-family:system-ui,-apple-system,"Segoe UI","Noto Sans",sans-serif;font-size:16px;fill:#1c2b2a}}
.title{{font-size:18px;font-weight:600}}
.name{{font-weight:600}}
.dim{{fill:#4d6260;font-size:15px}}
{light_texts}@media (prefers-color-scheme:dark){{
{dark}text{{fill:#e4eceb}}
.dim{{fill:#a9b8b6}}
{dark_texts}}}
</style>"""


def _rules(styles: Styles, page: int) -> str:
    return "".join(f".{name}{{{declarations[page]}}}\n" for name, declarations in styles.items())

# SPDX-License-Identifier: Apache-2.0
"""Draw the screen of a terminal as an SVG document. Pure."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

from rich.console import Console

if TYPE_CHECKING:
    from rich.console import RenderableType

_FORMAT: Final = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg" role="img" \
aria-labelledby="title desc">
<!-- SPDX-License-Identifier: Apache-2.0 -->
<title id="title">TITLE</title>
<desc id="desc">DESCRIPTION</desc>
<style>
.{unique_id}-matrix {{
font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
font-size: {char_height}px;
line-height: {line_height}px;
}}
.command {{
font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
font-size: 18px;
}}
.screen {{ fill: #292929; stroke: #292929 }}
@media (prefers-color-scheme:dark) {{ .screen {{ stroke: #868887 }} }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}"/>
</clipPath>
{lines}
</defs>
<rect class="screen" width="{width}" height="{height}" rx="8"/>
<text class="command" fill="#ffffff" x="{terminal_x}" y="28">$ TITLE</text>
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""rich's own format fetches a font from another server."""


def draw(name: str, command: str, description: str, shown: RenderableType, columns: int) -> str:
    """Return the document. `name` is part of the names of its styles, and `columns` the width of the terminal."""
    console = Console(
        file=io.StringIO(), record=True, width=columns, force_terminal=True, color_system="truecolor", no_color=False
    )
    console.print(shown, no_wrap=True, overflow="ignore", crop=False)
    form = _FORMAT.replace("TITLE", _literal(command)).replace("DESCRIPTION", _literal(description))
    svg = console.export_svg(title=command, code_format=form, unique_id=name)
    return "".join(f"{line.rstrip()}\n" for line in svg.splitlines() if line.strip())


def _literal(text: str) -> str:
    """Return a text of the document that is no part of the format."""
    return escape(text).replace("{", "{{").replace("}", "}}")

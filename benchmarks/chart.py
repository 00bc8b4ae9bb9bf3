# SPDX-License-Identifier: Apache-2.0
"""Draw the instructions of a selection as bars in an SVG. Pure.

The code draws the chart without a plotting library, because eight bars do not justify a dependency.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

from benchmarks.ratios import SCOPES
from benchmarks.report import TITLES
from demo.style import sheet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.ratios import Ratios

_WIDTH: Final = 640
_MARGIN: Final = 16
_TOP: Final = 80
"""Pixels above the first panel."""
_ROW: Final = 32
_HEAD: Final = 44
"""Pixels of a panel above its first bar."""
_LABELS: Final = 220
"""Pixels for the names of the variants."""
_BAR: Final = 290
"""Pixels of the longest bar."""

_STYLE: Final = sheet({"other": ("fill:#80b9b2", "fill:#3b7d76"), "ours": ("fill:#00796b", "fill:#80cbc4")}, {})


def description(ratios: Ratios) -> str:
    """Return the figures of the chart in words, for readers that do not see it."""
    parts = [
        f"{name}: {', '.join(f'{ratio:.2f} ({title})' for title, ratio in ratios.of_bare[scope].items())}."
        for scope, name in SCOPES.items()
    ]
    return f"Bars of the instructions to select a victim, as a multiple of the bare kernel. {' '.join(parts)}"


def draw(ratios: Ratios) -> str:
    """Return the SVG document."""
    panel = _HEAD + _ROW * len(TITLES) + 8
    height = _TOP + (panel + 12) * len(SCOPES) + 28
    longest = max(ratio for found in ratios.of_bare.values() for ratio in found.values())
    title = f"Instructions to select a victim among {ratios.tasks} tasks"
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}"'
        ' role="img" aria-labelledby="title desc">',
        "<!-- SPDX-License-Identifier: Apache-2.0 -->",
        f'<title id="title">{escape(title)}</title>',
        f'<desc id="desc">{escape(description(ratios))}</desc>',
        _STYLE,
        f'<rect class="paper" x="0.5" y="0.5" width="{_WIDTH - 1}" height="{height - 1}" rx="10"/>',
        f'<text class="title" x="{_MARGIN + 4}" y="36">{escape(title)}</text>',
        f'<text class="dim" x="{_MARGIN + 4}" y="62">as a multiple of the bare kernel</text>',
    ]
    for number, (scope, name) in enumerate(SCOPES.items()):
        lines += _panel(_TOP + (panel + 12) * number, panel, name, ratios.of_bare[scope], _BAR / longest)
    lines += [
        f'<text class="dim" x="{_MARGIN + 4}" y="{height - 16}">'
        f"Kernel {escape(ratios.kernel)}, {escape(ratios.date)}, emulated</text>",
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _panel(y: int, height: int, name: str, found: dict[str, float], scale: float) -> Iterator[str]:
    yield f'<rect class="zone" x="{_MARGIN}" y="{y}" width="{_WIDTH - 2 * _MARGIN}" height="{height}" rx="8"/>'
    yield f'<text class="name" x="{_MARGIN + 16}" y="{y + 28}">{escape(name)}</text>'
    left = _MARGIN + _LABELS
    for number, (title, ratio) in enumerate(found.items()):
        top, width = y + _HEAD + _ROW * number, round(scale * ratio)
        kind = "ours" if title == TITLES["ours"] else "other"
        yield f'<text x="{_MARGIN + 16}" y="{top + 16}">{escape(title)}</text>'
        yield f'<rect class="{kind}" x="{left}" y="{top}" width="{width}" height="20" rx="4"/>'
        yield f'<text class="dim" x="{left + width + 8}" y="{top + 16}">{ratio:.2f}</text>'

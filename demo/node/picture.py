# SPDX-License-Identifier: Apache-2.0
"""Draws both acts side by side as an SVG: the kernel's choice and yours. Pure.

The README's picture is the result of `python3 -m demo.node --picture docs/pictures/demo.svg`.
The code draws it without a plotting library, because that is larger than the demo, and Debian's Python has none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from xml.sax.saxutils import escape

from demo.style import sheet

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from demo.node.record import Pod, Record

_WIDTH: Final = 840
_PANEL: Final = 396
_MARGIN: Final = 16
_TOP: Final = 84
"""Pixels above the first pod of a panel."""
_ROW: Final = 72
_BAR: Final = 150
"""Pixels of the longest bar."""

_STYLE: Final = sheet(
    {"alive": ("fill:#80b9b2", "fill:#3b7d76"), "killed": ("fill:#c62828", "fill:#ef5350")},
    {"dead": ("fill:#c62828;font-weight:700", "fill:#ff8a80")},
)


def draw(record: Record) -> str:
    """Return the SVG document."""
    height = _TOP + _ROW * len(record.without) + 2 * _MARGIN + 28
    longest = max(pod.mib for pod in (*record.without, *record.with_policy))
    left, right = _MARGIN, _WIDTH - _MARGIN - _PANEL
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}"'
        ' role="img" aria-labelledby="title desc">',
        "<!-- SPDX-License-Identifier: Apache-2.0 -->",
        '<title id="title">The choice of the kernel, and yours</title>',
        f'<desc id="desc">{escape(_description(record))}</desc>',
        _STYLE,
        f'<rect class="paper" x="0.5" y="0.5" width="{_WIDTH - 1}" height="{height - 1}" rx="10"/>',
        *_panel(left, "Without oompolicy", "highest oom_score dies first", record.without, longest),
        *_panel(right, "With oompolicy", "lowest priority dies first", record.with_policy, longest),
        f'<text class="dim" x="{_MARGIN + 4}" y="{height - 14}">From make demo: the same node and pods '
        f"run out of memory, kernel {escape(record.kernel)}</text>",
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _panel(x: int, title: str, rule: str, pods: Sequence[Pod], longest: int) -> Iterator[str]:
    height = _TOP + _ROW * len(pods) - 8
    yield f'<rect class="zone" x="{x}" y="{_MARGIN}" width="{_PANEL}" height="{height}" rx="8"/>'
    yield f'<text class="title" x="{x + 16}" y="{_MARGIN + 30}">{escape(title)}</text>'
    yield f'<text class="dim" x="{x + 16}" y="{_MARGIN + 53}">{escape(rule)}</text>'
    for number, pod in enumerate(pods):
        yield from _row(x + 16, _TOP + _ROW * number + 8, pod, longest)


def _row(x: int, y: int, pod: Pod, longest: int) -> Iterator[str]:
    ranked = f"oom_score {pod.oom_score}" if pod.priority is None else f"priority {pod.priority}"
    width = max(4, _BAR * pod.mib // longest)
    kind = "killed" if pod.killed else "alive"
    yield f'<text class="name" x="{x}" y="{y + 14}">{escape(pod.place)}</text>'
    if pod.killed:
        yield f'<text class="dead" x="{x + _PANEL - 32}" y="{y + 14}" text-anchor="end">killed</text>'
    yield f'<rect class="{kind}" x="{x}" y="{y + 24}" width="{width}" height="20" rx="4"/>'
    yield f'<text class="dim" x="{x + width + 8}" y="{y + 40}">{pod.mib} MiB</text>'
    yield f'<text class="dim" x="{x + _PANEL - 32}" y="{y + 40}" text-anchor="end">{ranked}</text>'


def _description(record: Record) -> str:
    return f"Without oompolicy the kernel killed {_killed(record.without)}. With it, {_killed(record.with_policy)}."


def _killed(pods: Sequence[Pod]) -> str:
    return ", ".join(f"{pod.place} ({pod.mib} MiB)" for pod in pods if pod.killed) or "no pod"

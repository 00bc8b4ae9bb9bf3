# SPDX-License-Identifier: Apache-2.0
"""Show the order of containers on the full screen, with a bar for the memory of each."""

from __future__ import annotations

import gc
import time
from typing import TYPE_CHECKING, Final

import click
from rich.bar import Bar
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from oompolicy.cli.orderlist import amount, heading, notes, source
from oompolicy.cli.table import printable, style_of
from oompolicy.order.rank import has_margins, ranked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rich.console import RenderableType

    from oompolicy.order.facts import NodeFacts
    from oompolicy.order.rank import Ranked

_EVERY: Final = 2.0
"""Seconds between two readings."""
_BAR: Final = 20
"""The width of a bar in characters."""
_OTHER_LINES: Final = 5
"""The lines of the screen without a container: headings, notes and the last line."""


def watch(ask: Callable[[], NodeFacts], scope: str) -> None:
    """Show the order until the user presses Ctrl-C. An error replaces the notes, and the last order stays."""
    gc.enable()  # this command runs for hours
    console = Console()
    facts = ask()
    with Live(screen(facts, scope, console.height, ""), console=console, screen=True, auto_refresh=False) as live:
        try:
            while True:
                time.sleep(_EVERY)
                problem = ""
                try:
                    facts = ask()
                except click.ClickException as error:
                    problem = error.message
                live.update(screen(facts, scope, console.height, problem), refresh=True)
        except KeyboardInterrupt:
            return


def screen(facts: NodeFacts, scope: str, height: int, problem: str) -> RenderableType:
    """Return one screen of `height` lines. Containers for which it has no line are counted."""
    order = ranked(facts, scope)
    shown = order[: max(1, height - _OTHER_LINES)]
    more = len(order) - len(shown)
    lines = [f"... and {more} more"] if more else []
    lines += notes(facts, scope)
    if problem:
        lines = [f"{problem}. Shown is the order of {facts.time}"]
    return Group(
        Text(printable(f"{heading(facts)} · {scope} · {facts.time}"), style="bold", no_wrap=True),
        table(shown, margins=has_margins(facts, scope)),
        *(Text(printable(line), style="red" if problem else "dim", no_wrap=True) for line in lines),
    )


def table(shown: Sequence[Ranked], *, margins: bool) -> Table:
    """Return the rows, with bars relative to the largest container. `margins` adds the column MARGIN."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name, right in (("#", True), ("POD", False), ("CONTAINER", False), ("PRIORITY", True), ("SOURCE", False)):
        made.add_column(name, justify="right" if right else "left", no_wrap=True, overflow="ellipsis")
    made.add_column("MEMORY", justify="right", no_wrap=True)
    made.add_column("", width=_BAR)
    for name in ("REQUEST", "MARGIN", "KERNEL") if margins else ("REQUEST", "KERNEL"):
        made.add_column(name, justify="right", no_wrap=True)
    largest = max((each.container.memory or 0 for each in shown), default=0)
    for each in shown:
        made.add_row(*_row(each, largest, margins=margins))
    return made


def _row(each: Ranked, largest: int, *, margins: bool) -> list[RenderableType]:
    one = each.container
    style = style_of("PRIORITY", str(one.priority))
    return [
        Text(str(each.number)),
        Text(printable(f"{one.namespace}/{one.pod}")),
        Text(printable(one.container or "-")),
        Text(str(one.priority), style=style),
        Text(printable(source(each))),
        Text(amount(one.memory)),
        Bar(max(largest, 1), 0, one.memory or 0, width=_BAR, color=style or "default"),
        Text(amount(one.memory_request or None)),
        *([Text(amount(one.margin))] if margins else []),
        Text("-" if each.kernel is None else str(each.kernel)),
    ]

# SPDX-License-Identifier: Apache-2.0
"""Print victims as they are reported, each once."""

import gc
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Final

import click

from oompolicy.cli.printing import rendered, write
from oompolicy.cli.table import Table
from oompolicy.cli.victimlist import Victim, table

_EVERY: Final = 2.0
"""Seconds between two readings."""

Ask = Callable[[], Iterable[Victim]]


def watch(ask: Ask, *, wide: bool) -> None:
    """Print the victims of now and all later ones until the user presses Ctrl-C. An error does not end it."""
    gc.enable()  # this command runs for hours
    printer, problem = _Printer(wide=wide), ""
    printer.show(ask())
    try:
        while True:
            time.sleep(_EVERY)
            try:
                printer.show(ask())
                problem = ""
            except click.ClickException as error:
                if error.message != problem:
                    sys.stderr.write(f"{error.message}\n")
                problem = error.message
    except KeyboardInterrupt:
        return


class _Printer:
    """The table so far. Its columns become wider with later rows."""

    def __init__(self, *, wide: bool) -> None:
        self._wide = wide
        self._seen: set[tuple[str, datetime, int]] = set()
        self._rows: list[tuple[str, ...]] = []
        self._begun = False

    def show(self, found: Iterable[Victim]) -> None:
        """Print the victims that were not printed yet. An Event that counts more victims is printed again."""
        new = [each for each in found if (each.node, each.time, each.count) not in self._seen]
        self._seen.update((each.node, each.time, each.count) for each in new)
        made = table(new, datetime.now(UTC), wide=self._wide)
        self._rows += made.rows
        lines = rendered(Table(made.header, self._rows)).splitlines(keepends=True)
        write("".join(lines[len(lines) - len(new) :] if self._begun else lines))
        self._begun = True

# SPDX-License-Identifier: Apache-2.0
"""Show what a long read does: a spinner on standard error, if that is a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape

Say = Callable[[object], None]


@contextmanager
def reading() -> Iterator[Say]:
    """Show the spinner within the block. The function that the block gets replaces its text."""
    with Console(stderr=True).status("reading") as status:
        yield lambda what: status.update(f"reading {escape(str(what))}")

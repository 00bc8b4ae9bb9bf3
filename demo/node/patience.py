# SPDX-License-Identifier: Apache-2.0
"""Passes the guest's output on, and reports progress when the guest prints nothing for long."""

from __future__ import annotations

import contextlib
import io
import sys
import threading
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SILENCE_SECONDS: Final = 10.0


class Passing(io.BytesIO):
    """A file that writes to standard output, and remembers the time of the last write."""

    def __init__(self) -> None:
        super().__init__()
        self.last = time.monotonic()

    def write(self, data: bytes, /) -> int:  # type: ignore[override]
        self.last = time.monotonic()
        return sys.stdout.buffer.write(data)

    def flush(self) -> None:
        sys.stdout.flush()

    def silent_for(self) -> float:
        return time.monotonic() - self.last


@contextlib.contextmanager
def patiently(say: Callable[[str], None], *, silence: float = SILENCE_SECONDS) -> Iterator[Passing]:
    """Yield an output for the guest. `say` is called when nothing was written for `silence` seconds."""
    output, done = Passing(), threading.Event()

    def watch() -> None:
        while not done.wait(silence / 10):
            if output.silent_for() > silence:
                output.last = time.monotonic()
                say("the guest is still running")

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield output
    finally:
        done.set()
        watcher.join()

# SPDX-License-Identifier: Apache-2.0
"""Report the progress of a step that takes long."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from vmtest.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

TICK_SECONDS = 10.0
SHOWN_LINES = 40


def say(text: str) -> None:
    """Print one line of progress to stderr, because stdout is for the guest's command."""
    print(f"harness: {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def step(title: str) -> Iterator[None]:
    """Announce a step, report that it is still running, and print its duration."""
    started = time.monotonic()
    done = threading.Event()

    def tick() -> None:
        while not done.wait(TICK_SECONDS):
            say(f"{title}: still running, {time.monotonic() - started:.0f} s")

    say(f"{title} ...")
    ticker = threading.Thread(target=tick, daemon=True)
    ticker.start()
    try:
        yield
    finally:
        done.set()
        ticker.join()
    say(f"{title}: done in {time.monotonic() - started:.1f} s")


def run_logged(
    argv: Sequence[str], log: Path, *, error: type[HarnessError] = HarnessError, env: Mapping[str, str] | None = None
) -> None:
    """Run a command with its output in a log file. The error shows the end of the log."""
    with log.open("ab") as output:
        status = subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, env=env, check=False
        ).returncode
    if status:
        raise error(f"{argv[0]} ended with status {status}:\n{last_lines(log, SHOWN_LINES)}")


def last_lines(log: Path, count: int) -> str:
    """Return the end of a log, also if it is not valid text."""
    if not log.exists():
        return ""
    with log.open(errors="replace") as text:
        return "".join(deque(text, maxlen=count))

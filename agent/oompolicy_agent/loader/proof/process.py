# SPDX-License-Identifier: Apache-2.0
"""A process of the proof, as the loader sees it: it holds memory when it is asked to, and may be killed for it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import IO, Final, Self, cast

HOLDER: Final = Path(__file__).with_name("holder.py")


class Process:
    """A running `holder.py`, a context manager. Its end kills the process, so nothing survives the proof."""

    def __init__(self, deadline: float) -> None:
        """`deadline` is the time, by the monotonic clock, after which no answer is awaited."""
        self._deadline = deadline
        # The lock of the loader is not passed on: these processes must never keep the next loader from running.
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, close_fds=True
        )
        self._stdin = cast("IO[bytes]", self._process.stdin)
        self._stdout = cast("IO[bytes]", self._process.stdout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        # A process that the kernel does not let go must not stop the loader. The cgroup's removal waits for it again.
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=self._left())
        self._stdin.close()
        self._stdout.close()

    @property
    def pid(self) -> int:
        """The process id, as the loader's own pid namespace counts."""
        return self._process.pid

    def ready(self) -> bool:
        """Wait for the process to start. Return False if it ended, or if the deadline has passed."""
        return self._answers()

    def hold(self, mib: int) -> bool:
        """Let the process hold more memory. Return False if it ended, or if the deadline has passed."""
        try:
            os.write(self._stdin.fileno(), b"%d\n" % mib)
        except BrokenPipeError:
            return False
        return self._answers()

    def was_killed(self) -> bool:
        """Wait for the end. Return True if it was SIGKILL, and False if the deadline has passed."""
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(timeout=self._left()) == -signal.SIGKILL
        return False

    def _answers(self) -> bool:
        answered = select.poll()
        answered.register(self._stdout, select.POLLIN)
        return bool(answered.poll(self._left() * 1000)) and bool(os.read(self._stdout.fileno(), 16))

    def _left(self) -> float:
        return max(0.0, self._deadline - time.monotonic())

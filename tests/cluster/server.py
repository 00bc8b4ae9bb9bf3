# SPDX-License-Identifier: Apache-2.0
"""Run one server until it is stopped, or we die."""

from __future__ import annotations

import subprocess
import time
from typing import TYPE_CHECKING, NoReturn

from tests.cluster.errors import ServerError
from vmtest.progress import last_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

SHOWN_LINES = 40
# What asks for readiness in vain is answered at once (connection refused), so this is how often we look.
LOOK_SECONDS = 0.05


class Server:
    """One process and its log, which goes on where it was when the server is started again."""

    def __init__(self, argv: Sequence[str], log: Path) -> None:
        self.log = log
        self._argv = argv
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        """The program's."""
        return self.log.stem

    @property
    def running(self) -> bool:
        """Whether it was started and not stopped."""
        return self._process is not None

    @property
    def pid(self) -> int:
        """Of the process that runs. ServerError: none does."""
        if self._process is None:
            raise ServerError(f"{self.name} does not run")
        return self._process.pid

    def start(self, ready: Callable[[], bool], deadline: float, *flags: str) -> None:
        """Start, and return when `ready` says so; ServerError if it ends or takes more than `deadline` seconds.

        `flags` are for this run only.
        """
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *self._argv, *flags],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            self._wait(self._process, ready, time.monotonic() + deadline)
        except BaseException:
            self.kill()
            raise

    def _wait(self, process: subprocess.Popen[bytes], ready: Callable[[], bool], end: float) -> None:
        while not ready():
            if process.poll() is not None:
                raise ServerError(f"{self.name} ended with status {process.returncode}:\n{self.tail()}")
            if time.monotonic() > end:
                raise ServerError(f"{self.name} did not become ready in time:\n{self.tail()}")
            time.sleep(LOOK_SECONDS)

    def wait(self) -> NoReturn:
        """Wait for it to end by itself, which is a ServerError."""
        if self._process is not None:
            self._process.wait()
        raise ServerError(f"{self.name} ended:\n{self.tail()}")

    def kill(self) -> None:
        """End it at once, as a node that goes down does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def tail(self) -> str:
        """The end of its log."""
        return last_lines(self.log, SHOWN_LINES)

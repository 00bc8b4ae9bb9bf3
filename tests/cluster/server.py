# SPDX-License-Identifier: Apache-2.0
"""Run one server until it is stopped, or until this process dies."""

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
# A probe of a server that is not ready fails at once (connection refused), so this is the interval of the probes.
LOOK_SECONDS = 0.05


class Server:
    """One process and its log. A restarted server appends to the log."""

    def __init__(self, argv: Sequence[str], log: Path) -> None:
        self.log = log
        self._argv = argv
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        """The name of the program."""
        return self.log.stem

    @property
    def running(self) -> bool:
        """True after the start of the server, until it is stopped."""
        return self._process is not None

    @property
    def pid(self) -> int:
        """The pid of the running process. ServerError: it does not run."""
        if self._process is None:
            raise ServerError(f"{self.name} does not run")
        return self._process.pid

    def start(self, ready: Callable[[], bool], deadline: float, *flags: str) -> None:
        """Start the server, and return when `ready` is true.

        ServerError: the server ends, or is not ready after `deadline` seconds.

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
        """Wait for the end of the server, and raise ServerError."""
        if self._process is not None:
            self._process.wait()
        raise ServerError(f"{self.name} ended:\n{self.tail()}")

    def kill(self) -> None:
        """Kill the server, as a node that goes down does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def tail(self) -> str:
        """Return the last lines of the log."""
        return last_lines(self.log, SHOWN_LINES)

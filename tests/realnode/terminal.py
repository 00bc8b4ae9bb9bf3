# SPDX-License-Identifier: Apache-2.0
"""A shell command in a terminal of its own, as a person runs it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import signal
import struct
import subprocess
import termios
import threading
from typing import Final

CTRL_C: Final = b"\x03"
SIZE: Final = struct.pack("4H", 50, 250, 0, 0)
"""Rows and columns, and two fields without a use. The terminal is wide, so that no line is broken."""


class Terminal:
    """A running command."""

    def __init__(self, command: str) -> None:
        self._written = b""
        self._own, other = pty.openpty()
        fcntl.ioctl(other, termios.TIOCSWINSZ, SIZE)
        argv = ["sh", "-euc", command]
        self._process = subprocess.Popen(argv, stdin=other, stdout=other, stderr=other, start_new_session=True)
        os.close(other)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def text(self) -> str:
        """Everything that the command has written to the terminal."""
        return self._written.decode(errors="replace")

    @property
    def running(self) -> bool:
        """True until the command ends."""
        return self._process.poll() is None

    def press_ctrl_c(self) -> None:
        """Write the character that the key combination writes."""
        os.write(self._own, CTRL_C)

    def wait(self, seconds: float) -> int:
        """Wait for the end of the command, and return its exit status. TimeoutExpired after this time."""
        status = self._process.wait(seconds)
        self._reader.join()
        return status

    def close(self) -> None:
        """End all programs of the command, and remove the terminal."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join()
        os.close(self._own)

    def _read(self) -> None:
        # The read fails when the last program has closed the terminal.
        with contextlib.suppress(OSError):
            while chunk := os.read(self._own, 65536):
                self._written += chunk

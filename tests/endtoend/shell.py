# SPDX-License-Identifier: Apache-2.0
"""Run a page's commands as they stand there. What they leave in the background lives on until the end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class Shell:
    """One reader of the page, in one folder."""

    def __init__(self, folder: Path, log: Path, environment: Mapping[str, str] | None = None) -> None:
        self._folder, self._log = folder, log
        self._environment = {**os.environ, **(environment or {})}
        self._started: list[int] = []

    def run(self, block: str) -> tuple[int, str]:
        """The exit status of a block, which stops at its first error, and what it printed until then."""
        before = self._log.stat().st_size if self._log.exists() else 0
        # To a file: a pipe would stay open for as long as something in the background does.
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                ["sh", "-euc", block],
                cwd=self._folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._started.append(process.pid)
        status = process.wait()
        return status, self._log.read_bytes()[before:].decode(errors="replace")

    def end(self, number: int = signal.SIGKILL) -> None:
        """End what is still running; by SIGTERM where it is to leave something in order."""
        for group in self._started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, number)
        self._started.clear()

# SPDX-License-Identifier: Apache-2.0
"""Run the commands of a page as the page shows them. Background processes live until the end."""

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
        """Run a block until its first error, and return its exit status and its output."""
        before = self._log.stat().st_size if self._log.exists() else 0
        # The output goes to a file, because a background process would keep a pipe open.
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
        """End the processes that still run. With SIGTERM they can leave their state in order."""
        for group in self._started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, number)
        self._started.clear()

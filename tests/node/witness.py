# SPDX-License-Identifier: Apache-2.0
"""`oompolicy-trace` as a witness: started as a user starts it, and without any other code of this project."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.node.hog import Hog

SOURCE_ROOT: Final = Path(__file__).parents[2] / "debug"
COMMAND: Final = (sys.executable, "-m", "oompolicy_trace")
ONLY_ITSELF: Final = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "PYTHONPATH": str(SOURCE_ROOT)}
"""An environment in which neither `oompolicy` nor `oompolicy_agent` can be imported."""

Document = dict[str, Any]


class Witness:
    """A running tool with JSON. It sees every OOM as soon as the constructor returns."""

    def __init__(self, *prefix: str) -> None:
        self.process = subprocess.Popen(
            [*prefix, *COMMAND, "--json"], stdout=subprocess.PIPE, text=True, env=ONLY_ITSELF, cwd="/"
        )
        self.started: Document = self._next()
        assert "Started" == self.started["event"]

    def oom_of(self, victim: Hog) -> Document:
        """Wait for the OOM in which the tool saw this process die. Earlier OOMs are dropped."""
        while victim.pid not in pids((oom := self._next())["killed"]):
            pass
        return oom

    def attached(self) -> set[str]:
        """Return the functions and tracepoints that the tool watches."""
        return {each["from"].split()[-1] for each in self.started["sources"] if each["attached"]}

    def end(self) -> int:
        """End the tool as Ctrl-C does, and return its exit status."""
        self.process.terminate()
        # It may be writing an OOM at this moment, which fails without a reader.
        self.process.communicate()
        return self.process.returncode

    def _next(self) -> Document:
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"oompolicy-trace ended with {self.process.wait()}")
        document: Document = json.loads(line)
        return document


def pids(processes: Iterable[Document]) -> list[int]:
    return [each["pid"] for each in processes]


def task_of(oom: Document, hog: Hog) -> Document:
    """Return the line of a process among the tasks that the kernel looked at. The kernel looks at it once in an OOM."""
    task: Document
    (task,) = [each for each in oom["tasks"] if each["pid"] == hog.pid]
    return task

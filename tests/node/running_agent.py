# SPDX-License-Identifier: Apache-2.0
"""An agent as it runs on a node: without root and capabilities, with its own folders."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from oompolicy_agent.plumbing.paths import AGENT_UID
from tests.node.kubelet import NODE_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.node.kubelet import Pod

UID: Final = AGENT_UID
RUN_DIR: Final = Path("/run/oompolicy")
CHECK_EVERY: Final = 0.01

T = TypeVar("T")


def confined(*capabilities: str) -> tuple[str, ...]:
    """Return the command that runs another one as the agent's user, with these capabilities alone."""
    kept = ",".join(["-all", *(f"+{name}" for name in capabilities)])
    sets = [f"--{each}={kept}" for each in ("inh-caps", "ambient-caps", "bounding-set")]
    return ("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", *sets, "--no-new-privs")


SETPRIV: Final = confined()


def wait_until(awaited: str, check: Callable[[], T], seconds: float = 60) -> T:
    """Call `check` until it returns a true value, and return that value. The TimeoutError names `awaited`."""
    for _ in range(int(seconds / CHECK_EVERY)):
        found = check()
        if found:
            return found
        select.select([], [], [], CHECK_EVERY)
    raise TimeoutError(f"{awaited}: not within {seconds} s")


class RunningAgent:
    """The agent of one node. A test calls `start` and `kill` as often as it needs."""

    def __init__(self, folder: Path, run_dir: Path) -> None:
        self.folder, self.run_dir = folder, run_dir
        self.manifests, self.state = folder / "manifests", folder / "state"
        self.output, self.log = folder / "events.jsonl", folder / "agent.log"
        for directory in (folder, self.manifests, self.state):
            directory.mkdir(exist_ok=True)
        for path in (folder, self.state):
            os.chown(path, UID, UID)
        folder.chmod(0o755)
        self.process: subprocess.Popen[bytes] | None = None
        self.options: list[str] = []

    def start(self, *capabilities: str) -> None:
        """Start the agent, and wait for a new status or for its end."""
        before = self._status_time()
        with self.log.open("ab") as log:
            command = [*confined(*capabilities), sys.executable, "-m", "oompolicy_agent", *self.arguments()]
            self.process = subprocess.Popen(command, stderr=log, stdout=log)
        wait_until("the agent's first status", lambda: self._status_time() > before or self.ended())

    def arguments(self) -> list[str]:
        return [
            *("--manifests", str(self.manifests), "--node", NODE_NAME),
            *("--output", str(self.output), "--output-format", "json"),
            *("--state-dir", str(self.state), "--run-dir", str(self.run_dir), "--naming-grace", "0"),
            *self.options,
        ]

    def ended(self) -> bool:
        return self.process is None or self.process.poll() is not None

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send the signal, and wait for the end."""
        if self.process:
            self.process.send_signal(number)
            self.process.wait()
            self.process = None

    def status(self) -> dict[str, Any]:
        return dict(json.loads((self.run_dir / "status.json").read_text()))

    def condition(self, kind: str) -> dict[str, Any]:
        """Return one condition of the status."""
        (found,) = [each for each in self.status()["conditions"] if each["type"] == kind]
        return dict(found)

    def knows(self, pod: Pod) -> bool:
        """Return True if the checkpoint has the pod."""
        checkpoint = self.state / "checkpoint.json"
        return checkpoint.exists() and pod.uid in checkpoint.read_text()

    def events(self) -> list[dict[str, Any]]:
        """Return the Event manifests that the agent has written so far."""
        if not self.output.exists():
            return []
        return [json.loads(line) for line in self.output.read_text().splitlines()]

    def _status_time(self) -> int:
        path = self.run_dir / "status.json"
        return path.stat().st_mtime_ns if path.exists() else 0


@contextmanager
def agent_in(folder: Path) -> Iterator[RunningAgent]:
    """Yield an agent that is not started, with its folders in a folder of pytest. Its log is printed at the end."""
    for parent in (folder, folder.parent, folder.parent.parent):
        parent.chmod(0o755)
    agent = RunningAgent(folder / "agent", RUN_DIR)
    yield agent
    agent.kill()
    print(agent.log.read_text() if agent.log.exists() else "")

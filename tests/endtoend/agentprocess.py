# SPDX-License-Identifier: Apache-2.0
"""The agent as its DaemonSet's pod runs it: in the pod's cgroup, without any privilege, with the pod's token."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.node.running_agent import SETPRIV, UID

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.endtoend.kubelet import NodeKubelet

ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""The mount of the token in each pod. client-go and the kubernetes client read this path (rest/config.go)."""

STATE: Final = Path("/var/lib/oompolicy")
RUN: Final = Path("/run/oompolicy")
LOG: Final = Path("/run/agent.log")
LISTEN: Final = "127.0.0.1:9808"

CONTAINER_ADJ: Final = "-997"
"""The kubelet's oom_score_adj for containers of a Guaranteed or node-critical pod (pkg/kubelet/qos/policy.go)."""

ENTER: Final = ("sh", "-c", 'echo 0 >"$0/cgroup.procs" && exec "$@"')


class AgentProcess:
    """The agent's process. A test calls `start` and `kill` as often as it needs. State and log stay."""

    def __init__(self, kubelet: NodeKubelet) -> None:
        self._kubelet = kubelet
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, uid: str, server: tuple[str, int], ca: str, token: str, arguments: Sequence[str]) -> int:
        """Start the process of the agent's pod, and return its pid."""
        for path, text in ((ACCOUNT / "ca.crt", ca), (ACCOUNT / "token", token)):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        for folder in (STATE, RUN):
            folder.mkdir(exist_ok=True)
            os.chown(folder, UID, UID)
        host, port = server
        cgroup = self._kubelet.container(uid, "agent")
        command = [*ENTER, str(cgroup.path), "choom", "-n", CONTAINER_ADJ, "--", *SETPRIV]
        command += [sys.executable, "-m", "oompolicy_agent", "--in-cluster", "--listen", LISTEN, *arguments]
        environment = {**os.environ, "KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": str(port)}
        with LOG.open("ab") as log:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
        return self._process.pid

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send the signal, and wait for the end."""
        if self._process:
            self._process.send_signal(number)
            self._process.wait()
            self._process = None

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def ready(self) -> tuple[int, str]:
        """Return status and text of /readyz, or 0 and the reason while nothing listens yet."""
        if not self.alive:
            raise RuntimeError(f"the agent has ended:\n{self.log_text()}")
        try:
            with urllib.request.urlopen(f"http://{LISTEN}/readyz", timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:
            return 0, str(error)

    def memory(self) -> dict[str, int]:
        """Return the process's memory in KiB, by the kernel's names in smaps_rollup."""
        if self._process is None:
            raise RuntimeError("no agent runs")
        lines = Path(f"/proc/{self._process.pid}/smaps_rollup").read_text().splitlines()[1:]
        return {line.split(":")[0]: int(line.split()[1]) for line in lines}

    def checkpoint(self) -> str:
        """Return the state that the agent keeps on disk for its next start."""
        return (STATE / "checkpoint.json").read_text()

    def log_text(self) -> str:
        """Return the log of this process and of all earlier ones."""
        return LOG.read_text() if LOG.exists() else ""

# SPDX-License-Identifier: Apache-2.0
"""Run operators as processes, each with its log, and read their metrics and probes."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import urllib3
from prometheus_client.parser import text_string_to_metric_families

from tests.cluster.deployment import NAMESPACE
from tests.cluster.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

START_SECONDS = 60.0


class Operator:
    """One replica. `identity` is its name in the Lease, and the name of its log."""

    def __init__(
        self,
        kubeconfig: Path,
        identity: str,
        port: int,
        folder: Path,
        *,
        flags: Sequence[str] = (),
        namespace: str = NAMESPACE,
    ) -> None:
        self.identity = identity
        self.log = folder / f"{identity}.log"
        self._url = f"http://127.0.0.1:{port}"
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [
                    *("setpriv", "--pdeathsig", "KILL", "--"),
                    *(sys.executable, "-m", "oompolicy.controller"),
                    *("--kubeconfig", str(kubeconfig), "--namespace", namespace),
                    *("--listen", f"127.0.0.1:{port}", "--identity", identity),
                    *flags,
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def probe(self, path: str) -> tuple[int, str]:
        """Return status and text of a path, or (0, "") while the operator does not listen."""
        try:
            answer = urllib3.request("GET", self._url + path, retries=False, timeout=5.0)
        except urllib3.exceptions.HTTPError:
            return 0, ""
        return answer.status, answer.data.decode()

    def metric(self, name: str, **labels: str) -> float | None:
        """Return the value of one sample, or None if there is no such sample."""
        _, text = self.probe("/metrics")
        samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
        return next((each.value for each in samples if each.name == name and each.labels == labels), None)

    @property
    def leads(self) -> bool:
        """True while the operator holds the Lease and has read all objects."""
        return self.metric("oompolicy_operator_leader") == 1 and self.probe("/readyz")[0] == 200

    def until_leading(self, deadline: float = START_SECONDS) -> None:
        eventually(lambda: self.leads or self.process.poll(), lambda state: state is True, deadline=deadline)

    def until_standby(self) -> None:
        eventually(lambda: self.probe("/readyz")[0], lambda status: status == 200, deadline=START_SECONDS)

    def pause(self) -> None:
        """Stop the process, as on a node without CPU time for it."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def terminate(self) -> tuple[int, float]:
        """Send SIGTERM, and return the exit status and the seconds until the end."""
        started = time.monotonic()
        self.process.terminate()
        status = self.process.wait(30)
        return status, time.monotonic() - started

    def kill(self) -> None:
        """Send SIGKILL, and wait for the end."""
        self.process.kill()
        self.process.wait()

# SPDX-License-Identifier: Apache-2.0
"""The operator as it runs: a process of its own, on one core."""

from __future__ import annotations

import contextlib
import os
import time
from typing import TYPE_CHECKING, Final

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.cluster.waiting import wait_until
from tests.cluster.operators import Operator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CORE: Final = 0


class Controller(Operator):
    """A running operator."""

    def __init__(self, kubeconfig: Path, port: int, folder: Path) -> None:
        """Start it."""
        self.started = time.monotonic()
        super().__init__(kubeconfig, f"operator-{port}", port, folder)
        # Before it has other threads, which inherit this.
        os.sched_setaffinity(self.pid, {CORE})

    @property
    def pid(self) -> int:
        """For /proc."""
        return self.process.pid

    def wait_until_ready(self) -> float:
        """How long it took to lead and know all there is, since the start. RuntimeError: it ended."""

        def leads() -> bool:
            if self.process.poll() is not None:
                raise RuntimeError(f"the operator ended:\n{self.log.read_text()}")
            return self.leads

        return wait_until("the operator is ready", leads) - self.started

    def buckets(self, name: str) -> dict[float, float]:
        """Of a histogram: by upper end, how many values are not above it."""
        _, text = self.probe("/metrics")
        samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
        return {float(each.labels["le"]): each.value for each in samples if each.name == f"{name}_bucket"}


@contextlib.contextmanager
def running(kubeconfig: Path, port: int, folder: Path) -> Iterator[Controller]:
    """Start it, and end it."""
    controller = Controller(kubeconfig, port, folder)
    try:
        yield controller
    finally:
        controller.terminate()

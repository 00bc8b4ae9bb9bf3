# SPDX-License-Identifier: Apache-2.0
"""The operator as a process of its own, on one core."""

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
        """Start the operator, and bind it to one core."""
        self.started = time.monotonic()
        super().__init__(kubeconfig, f"operator-{port}", port, folder)
        # The operator has no other threads yet. They inherit this.
        os.sched_setaffinity(self.pid, {CORE})

    @property
    def pid(self) -> int:
        """The pid of the operator."""
        return self.process.pid

    def wait_until_ready(self) -> float:
        """Wait until the operator leads and has read all objects, and return the seconds since its start.

        RuntimeError: it ended.
        """

        def leads() -> bool:
            if self.process.poll() is not None:
                raise RuntimeError(f"the operator ended:\n{self.log.read_text()}")
            return self.leads

        return wait_until("the operator is ready", leads) - self.started

    def buckets(self, name: str) -> dict[float, float]:
        """Return the buckets of a histogram: the number of values up to each upper end."""
        _, text = self.probe("/metrics")
        samples = (sample for family in text_string_to_metric_families(text) for sample in family.samples)
        return {float(each.labels["le"]): each.value for each in samples if each.name == f"{name}_bucket"}


@contextlib.contextmanager
def running(kubeconfig: Path, port: int, folder: Path) -> Iterator[Controller]:
    """Start an operator, and end it with the context."""
    controller = Controller(kubeconfig, port, folder)
    try:
        yield controller
    finally:
        controller.terminate()

# SPDX-License-Identifier: Apache-2.0
"""Run a benchmark in a guest of its own, and describe the guest."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks import machine, report
from vmtest.build import ensure_artifacts
from vmtest.errors import HarnessError
from vmtest.image import ensure_image
from vmtest.vm import run_guest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

KERNEL: Final = "trixie"
CPUS: Final = 2
DEADLINE: Final = 7200.0
"""Seconds: several times the duration of a run under emulation."""


@contextmanager
def ran(module: str, arguments: Sequence[str], memory: int, kernel: str = KERNEL) -> Iterator[tuple[Path, str]]:
    """Run a module in a guest of `memory` MiB, and yield the folder of its results and a line about the machine."""
    image = ensure_image()
    with tempfile.TemporaryDirectory(prefix="oompolicy-bench-") as name:
        result = run_guest(
            image,
            ["python3", "-m", module, *arguments],
            kernel=kernel,
            memory=memory,
            cpus=CPUS,
            extra={"build": ensure_artifacts(image)},
            artifacts=Path(name),
            deadline=DEADLINE,
        )
        if result.status:
            raise HarnessError(f"the benchmark in the guest ended with status {result.status}:\n{result.kernel_log}")
        host = machine.describe(result.accel, memory, CPUS)
        place = (
            f"Kernel {image.kernel(kernel).release}, {host.date}, {host.processor}, {host.cores} cores, "
            f"QEMU {host.qemu} with {report.ACCELS.get(host.accel, host.accel)}, "
            f"a guest of {host.cpus} CPUs and {host.memory} MiB.\n"
        )
        yield Path(name), place

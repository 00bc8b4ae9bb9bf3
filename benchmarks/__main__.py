# SPDX-License-Identifier: Apache-2.0
"""Boot a guest, measure in it, and write the result into docs/benchmarks.md: `python3 -m benchmarks`."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import answers, machine, report
from benchmarks.build import build
from benchmarks.clocks import CLOCKS, Clock
from benchmarks.samples import Run
from vmtest.build import ensure_artifacts
from vmtest.errors import HarnessError
from vmtest.image import Image, ensure_image
from vmtest.packages import KERNELS
from vmtest.progress import say
from vmtest.vm import run_guest

MEMORY_MIB = 3072
DEADLINE = 3600.0
"""Seconds: several times the duration of a run under emulation."""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    command_line = argparse.ArgumentParser(prog="python3 -m benchmarks", description=__doc__)
    command_line.add_argument("--kernel", choices=KERNELS, default=KERNELS[0], help="default: %(default)s")
    command_line.add_argument(
        "--clock", choices=CLOCKS, default="time", help="the unit of the result. Default: %(default)s"
    )
    command_line.add_argument(
        "--oom-count", type=int, metavar="N", help="per variant. Default: 15, with --clock instructions 4"
    )
    command_line.add_argument(
        "--tasks", type=int, nargs="+", default=[1_000, 10_000], metavar="N", help="default: 1000 10000"
    )
    command_line.add_argument("--dry-run", action="store_true", help="print the result, and do not change the document")
    return command_line


def measure(image: Image, clock: Clock, options: argparse.Namespace) -> tuple[Run, machine.Machine]:
    """Boot one guest, and return its measurements and the machine that it ran on."""
    oom_count = options.oom_count or clock.oom_count
    command = ["python3", "-m", "benchmarks.guest", "--rounds", str(clock.rounds), "--oom-count", str(oom_count)]
    with tempfile.TemporaryDirectory(prefix="oompolicy-bench-") as name, clock.running():
        folder = Path(name)
        (folder / "build").mkdir()
        result = run_guest(
            image,
            [*command, "--tasks", *map(str, options.tasks)],
            kernel=options.kernel,
            memory=MEMORY_MIB,
            cpus=clock.cpus,
            wanted_accel=clock.accel,
            extra={"build": ensure_artifacts(image), "build/benchmarks": build(image, folder / "build")},
            artifacts=folder / "artifacts",
            deadline=DEADLINE,
        )
        if result.status:
            raise HarnessError(f"the benchmark in the guest ended with status {result.status}:\n{result.kernel_log}")
        return Run.read(folder / "artifacts/benchmark.json"), machine.describe(result.accel, MEMORY_MIB, clock.cpus)


def main() -> int:
    """Measure, print the result, and write it into the document."""
    options = parser().parse_args()
    clock = CLOCKS[options.clock]
    started = time.monotonic()
    try:
        run, host = measure(ensure_image(), clock, options)
    except HarnessError as error:
        say(str(error))
        return 1
    text = report.render(run, host, clock)
    print(text)
    say(f"{options.kernel}, {options.clock}: {(time.monotonic() - started) / 60:.0f} minutes")
    return 0 if options.dry_run else answers.write(f"{options.kernel} {options.clock}", text)


if __name__ == "__main__":
    sys.exit(main())

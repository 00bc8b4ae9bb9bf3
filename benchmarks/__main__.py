# SPDX-License-Identifier: Apache-2.0
"""Boot a guest, measure in it, and write the result into docs/benchmarks.md: `python3 -m benchmarks`."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import machine, report
from benchmarks.build import build
from benchmarks.clocks import CLOCKS, Clock
from benchmarks.samples import Run
from vmtest.build import ensure_artifacts
from vmtest.document import replace
from vmtest.errors import HarnessError
from vmtest.image import Image, ensure_image
from vmtest.packages import KERNELS
from vmtest.progress import say
from vmtest.vm import run_guest

DOCUMENT = Path(__file__).parents[1] / "docs/benchmarks.md"
MEMORY_MIB = 3072
DEADLINE = 3600.0
"""Seconds: several times what it takes under emulation."""


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    words = argparse.ArgumentParser(prog="python3 -m benchmarks", description=__doc__)
    words.add_argument("--kernel", choices=KERNELS, default=KERNELS[0], help="default: %(default)s")
    words.add_argument("--clock", choices=CLOCKS, default="time", help="what is measured; default: %(default)s")
    words.add_argument("--oom-count", type=int, metavar="N", help="per variant; default: 15, and 4 of instructions")
    words.add_argument("--tasks", type=int, nargs="+", default=[1_000, 10_000], metavar="N", help="default: 1000 10000")
    words.add_argument("--dry-run", action="store_true", help="print the result, leave the document as it is")
    return words


def measure(image: Image, clock: Clock, options: argparse.Namespace) -> tuple[Run, machine.Machine]:
    """One guest."""
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
            raise HarnessError(f"the guest's part ended with status {result.status}:\n{result.kernel_log}")
        return Run.read(folder / "artifacts/benchmark.json"), machine.describe(result.accel, MEMORY_MIB, clock.cpus)


def main() -> int:
    """Measure and report."""
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
    if not options.dry_run:
        place = f"{options.kernel} {options.clock}"
        DOCUMENT.write_text(replace(DOCUMENT.read_text(), place, text))
    return 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""Measure the whole path, and write the result into docs/benchmarks.md: `python3 -m benchmarks.path`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks import answers, machine, report
from tests.cluster.binaries import ensure_binaries
from tests.cluster.cluster import running_cluster
from tests.endtoend import measure
from tests.endtoend.guest import CPUS, MEMORY_MIB, booted
from tests.endtoend.installation import installation
from tests.endtoend.scene import Scene
from vmtest.errors import HarnessError
from vmtest.progress import say, step

if TYPE_CHECKING:
    from collections.abc import Sequence

DEADLINE: Final = 3600.0
"""Seconds: several times the duration of a run under emulation."""

GOALS: Final = {"label change to map entry": 250, "kill to readable Event": 1000}
"""The largest 99th percentiles, in milliseconds."""


@dataclass(frozen=True)
class Result:
    """The times of each measurement by its name, in seconds, and the agent's memory in KiB."""

    times: dict[str, list[float]]
    floor: list[float]
    private: int
    rss: int


def run(scene: Scene, count: int) -> Result:
    """Fill the node, and measure."""
    with step(f"path: {measure.MAX_PODS} pods"):
        pods = measure.crowd(scene)
    with step(f"path: {count} orders, label changes and kills"):
        floor = list(measure.orders(scene, count))
        changes = list(measure.label_changes(scene, pods, count))
        kills = list(measure.kills(scene, pods, count))
    memory = scene.guest.order("agent_memory")
    private = memory["Private_Clean"] + memory["Private_Dirty"]
    return Result(dict(zip(GOALS, (changes, kills), strict=True)), floor, private, memory["Rss"])


def render(result: Result, host: machine.Machine, kernel: str) -> str:
    """Return a table with the goals. Pure."""
    rows = [row("an order that does nothing", result.floor, None)]
    rows += [row(name, seconds, GOALS[name]) for name, seconds in result.times.items()]
    lines = [
        f"Kernel {kernel}, {host.date}, {host.processor}, {host.cores} cores, QEMU {host.qemu} with "
        f"{report.ACCELS.get(host.accel, host.accel)}, a guest of {host.cpus} CPUs and {host.memory} MiB, "
        f"{measure.MAX_PODS} pods.",
        "",
        "| ms | times | median | p90 | p99 | slowest | goal for p99 |",
        "|---|---|---|---|---|---|---|",
        *rows,
        "",
        f"The agent uses {result.private / 1024:.1f} MiB of private memory (goal: at most 40), "
        f"and {result.rss / 1024:.1f} MiB including shared memory.",
    ]
    return "\n".join(lines) + "\n"


def row(name: str, seconds: Sequence[float], goal: int | None) -> str:
    """Return the row of one measurement."""
    found = [measure.percentile(seconds, percent) * 1000 for percent in (50, 90, 99, 100)]
    verdict = "" if goal is None else f"{goal}: {'reached' if found[2] <= goal else 'missed'}"
    return f"| {name} | {len(seconds)} | {' | '.join(f'{ms:.0f}' for ms in found)} | {verdict} |"


def main() -> int:
    """Measure, print the result, and write it into the document."""
    parser = argparse.ArgumentParser(prog="python3 -m benchmarks.path", description="Measure the whole path.")
    parser.add_argument("--count", type=int, default=300, metavar="N", help="of each measurement. Default: %(default)s")
    parser.add_argument("--dry-run", action="store_true", help="print the result, and do not change the document")
    options = parser.parse_args()
    try:
        binaries = ensure_binaries()
        with tempfile.TemporaryDirectory(prefix="oompolicy-bench-") as name:
            folder = Path(name)
            (folder / "cluster").mkdir()
            with (
                booted(folder, DEADLINE) as guest,
                running_cluster(binaries, folder / "cluster") as cluster,
                installation(cluster, guest, folder) as found,
            ):
                found.install()
                result = run(Scene(found), options.count)
    except (HarnessError, AssertionError) as error:
        say(str(error))
        return 1
    accel, kernel = guest.ran()
    text = render(result, machine.describe(accel, MEMORY_MIB, CPUS), kernel)
    print(text)
    return 0 if options.dry_run else answers.write("path", text)


if __name__ == "__main__":
    sys.exit(main())

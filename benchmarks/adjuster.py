# SPDX-License-Identifier: Apache-2.0
"""Measure the adjuster in a guest, and write the result into docs/benchmarks.md: `python3 -m benchmarks.adjuster`."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Final

from benchmarks import answers, guests
from benchmarks.adjusterguest import Result, Spell, look_seconds
from benchmarks.realnode import verdict
from tests.endtoend.measure import MAX_PODS, percentile
from vmtest.errors import HarnessError
from vmtest.progress import say

if TYPE_CHECKING:
    from pathlib import Path

MEMORY_MIB: Final = 2048
PRIVATE_GOAL: Final = 25.0
"""The goal for the adjuster's private memory, in MiB."""
CPU_GOAL: Final = 0.3
"""The goal for the adjuster's CPU without changes, in per cent of a core."""
CHANGE_GOAL: Final = 500.0
"""The goal for the 99th percentile of a label change, in milliseconds."""


def render(result: Result, here: float) -> str:
    """Return a table with the goals. `here` is the host's time for the same work. Pure."""
    slowness = result.work / here
    private = result.private / 1024
    changes = [percentile(result.changes, percent) * 1000 for percent in (50, 99, 100)]
    return "\n".join(
        [
            f"{result.pods} pods, {result.processes} processes and kernel threads.",
            "",
            "| the adjuster | found | goal |",
            "|---|---|---|",
            f"| private memory, MiB | {private:.1f} | {verdict(private, PRIVATE_GOAL)} |",
            f"| including shared memory, MiB | {result.rss / 1024:.1f} |  |",
            *cpu("without changes", result.idle, slowness, CPU_GOAL),
            *cpu(
                f"in a storm, {result.storm.looks / result.storm.seconds:.1f} looks per second",
                result.storm,
                slowness,
                None,
            ),
            f"| from a label to its score, median of {len(result.changes)}, ms | {changes[0]:.0f} |  |",
            f"| the same, p99, ms | {changes[1]:.0f} | {verdict(changes[1], CHANGE_GOAL)} |",
            f"| the same, p99, divided by {slowness:.1f}, ms | {changes[1] / slowness:.0f} |  |",
            f"| the same, slowest, ms | {changes[2]:.0f} |  |",
            "",
        ]
    )


def cpu(name: str, spell: Spell, slowness: float, goal: float | None) -> list[str]:
    """Return the rows of the CPU in one situation."""
    percent = 100 * spell.cpu / spell.seconds
    here = percent / slowness
    words = "" if goal is None else verdict(here, goal)
    return [
        f"| CPU {name}, % of a core, over {spell.seconds:.0f} s | {percent:.2f} |  |",
        f"| the same, divided by {slowness:.1f} | {here:.2f} | {words} |",
    ]


def read(path: Path) -> Result:
    """Read the result that the guest wrote."""
    raw = json.loads(path.read_text())
    return Result(**{**raw, "idle": Spell(**raw["idle"]), "storm": Spell(**raw["storm"])})


def main() -> int:
    """Measure, print the result, and write it into the document."""
    parser = argparse.ArgumentParser(prog="python3 -m benchmarks.adjuster", description=__doc__)
    parser.add_argument("--pods", type=int, default=MAX_PODS, help="on the node. Default: %(default)s")
    parser.add_argument("--seconds", type=float, default=120.0, help="in which nothing happens. Default: %(default)s")
    parser.add_argument("--changes", type=int, default=300, help="of labels. Default: %(default)s")
    parser.add_argument("--dry-run", action="store_true", help="print the result, and do not change the document")
    options = parser.parse_args()
    words = [f"--{name}={getattr(options, name)}" for name in ("pods", "seconds", "changes")]
    try:
        with guests.ran("benchmarks.adjusterguest", words, MEMORY_MIB) as (folder, place):
            result = read(folder / "adjuster.json")
    except HarnessError as error:
        say(str(error))
        return 1
    text = f"{place}\n{render(result, min(look_seconds() for _ in range(5)))}"
    print(text)
    return 0 if options.dry_run else answers.write("adjuster", text)


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""Run the node tests on several kernels, two at a time: `python3 -m vmtest.suite [--write PAGE] NAME...`.

Nearly all of the time one of a guest's processors waits for the other. So two guests on two cores take hardly longer
than one. The builds for them happen before, one after the other.
"""

from __future__ import annotations

import argparse
import datetime
import functools
import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from vmtest import earlier, foreign, kernels
from vmtest.build import ensure_artifacts
from vmtest.cache import CHECKOUT
from vmtest.document import replace
from vmtest.errors import HarnessError
from vmtest.progress import say

if TYPE_CHECKING:
    from collections.abc import Sequence

DOCUMENTS = {
    "kernel-hook": (CHECKOUT / "docs/kernel-hook.md", "kernels"),
    "kernels": (CHECKOUT / "docs/kernels.md", "old kernels"),
    "arm64": (CHECKOUT / "docs/kernels.md", "arm64"),
}
"""The tables of results: the page of each, and the name of its place there."""

# A guest that is still busy after this time is lost. Under emulation a kernel's tests take about ten minutes.
DEADLINE = 2700

# The rules that a program must follow if the kernel obeys SELECT without a check, asks about dying tasks, and passes
# garbage as points. The other tests do not depend on the place of the hook.
RULES = ("order", "protected", "group", "dying", "random")

# A kernel that takes no module observes and obeys scores.
WITHOUT_A_HOOK = ("observe", "kernel_log", "scores", "trace")

# What may depend on the processor: BPF programs and their trampolines, the module, the layout of records, and the
# sizes of a process from which scores are computed.
ON_ARM64 = (
    *("order", "contract", "record", "random", "group", "protected", "dying", "loader", "map", "modes"),
    *("obstacles", "observe", "kernel_log", "scores", "trace", "tracing", "proof"),
)

PAGE = "tests/node/test_docs.py"
"""The test that runs the commands of docs/node.md, and compiles everything. That takes minutes under emulation."""


@dataclass(frozen=True)
class Result:
    """The result of one kernel's tests. `status` is the status of the guest's pytest, or of a harness that failed."""

    name: str
    release: str
    status: int
    passed: int
    others: int
    minutes: float


def main() -> int:
    """Run the tests of all kernels, also after a failure, and write the table if requested."""
    words = argparse.ArgumentParser(prog="python3 -m vmtest.suite", description=__doc__)
    words.add_argument("--write", choices=list(DOCUMENTS), help="the table to write")
    words.add_argument("--ooms", type=int, default=200, help="random ones, on each kernel; default: %(default)s")
    words.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="default: %(default)s")
    words.add_argument("name", nargs="+", choices=kernels.names(), metavar="NAME", help=", ".join(kernels.names()))
    arguments = words.parse_args()
    try:
        releases = {name: prepare(name) for name in arguments.name}
    except HarnessError as error:
        say(str(error))
        return 1
    with ThreadPoolExecutor(arguments.jobs) as pool:
        results = list(pool.map(functools.partial(run, arguments.ooms), releases, releases.values()))
    print(table(results))
    if arguments.write:
        document, place = DOCUMENTS[arguments.write]
        document.write_text(replace(document.read_text(), place, f"{table(results)}\n"))
    return 1 if any(result.status for result in results) else 0


def prepare(name: str) -> str:
    """Make all that a kernel's guest needs, and return the kernel's release."""
    image = kernels.image_for(name)
    ensure_artifacts(image)
    return kernels.find(image, name).release


def run(ooms: int, name: str, release: str) -> Result:
    """Run one kernel's tests in a process of their own, which Ctrl-C ends together with its guest."""
    started = datetime.datetime.now(datetime.UTC)
    with tempfile.TemporaryDirectory(prefix="oompolicy-suite-") as folder:
        status = show(name, [*guest(name, folder), *pytest(ooms), *selection(name)])
        report = Path(folder, "junit.xml")
        passed, others = counts(report.read_text()) if report.exists() else (0, 0)
    minutes = (datetime.datetime.now(datetime.UTC) - started).total_seconds() / 60
    return Result(name, release, status, passed, others, minutes)


def guest(name: str, artifacts: str) -> list[str]:
    """Return the command that runs another one in a guest."""
    options = ["--kernel", name, "--deadline", str(DEADLINE), "--artifacts", artifacts]
    return [sys.executable, "-m", "vmtest.run", *options, "--"]


def pytest(ooms: int) -> list[str]:
    """Return the command for pytest in the guest, with a report for this program and the slowest tests."""
    words = ["-p", "no:cacheprovider", "--durations=5", "--junitxml=/artifacts/junit.xml"]
    return ["env", f"OOMPOLICY_RANDOM_OOMS={ooms}", f"OOMPOLICY_SCORED_OOMS={ooms}", "python3", "-m", "pytest", *words]


def selection(name: str) -> list[str]:
    """Select the tests of a kernel. Only Debian 13's own kernel runs the page, and a hook as posted only the rules."""
    if name.startswith("as-posted"):
        return [f"tests/node/test_{rule}.py" for rule in RULES]
    if name in earlier.KERNELS:
        return [f"tests/node/test_{each}.py" for each in WITHOUT_A_HOOK]
    if name in foreign.KERNELS:
        return [f"tests/node/test_{each}.py" for each in ON_ARM64]
    return ["tests/node"] if name == "trixie" else ["tests/node", f"--ignore={PAGE}"]


def show(name: str, command: Sequence[str]) -> int:
    """Run a command with its name before each line of its output."""
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as process:
        for line in process.stdout or ():
            print(f"{name}: {line}", end="", flush=True)
    return process.returncode


def counts(junit: str) -> tuple[int, int]:
    """Return from pytest's report how many tests passed and how many did not. A skipped test has not passed."""
    # Our own guest wrote it.
    suites = ElementTree.fromstring(junit).iter("testsuite")  # noqa: S314
    numbers = [{key: int(suite.get(key, 0)) for key in ("tests", "failures", "errors", "skipped")} for suite in suites]
    others = sum(each["failures"] + each["errors"] + each["skipped"] for each in numbers)
    return sum(each["tests"] for each in numbers) - others, others


def table(results: Sequence[Result]) -> str:
    """Return the table of today's run for a document."""
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    head = "| kernel | release | hook | date | passed | did not | minutes |\n|---|---|---|---|---|---|---|"
    return "\n".join([head, *(row(each, today) for each in results)])


def row(result: Result, date: str) -> str:
    """Return one row of the table."""
    cells = (f"`{result.name}`", result.release, hook(result.name), date, result.passed, result.others)
    return f"| {' | '.join(map(str, cells))} | {result.minutes:.0f} |"


def hook(name: str) -> str:
    """Return the origin of the hook."""
    if name.startswith("patched"):
        return "`kernel/patches`"
    if name in earlier.KERNELS:
        return "none"
    return "the RFC's place" if name.startswith("as-posted") else "`kernel/module`"


if __name__ == "__main__":
    sys.exit(main())

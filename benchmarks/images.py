# SPDX-License-Identifier: Apache-2.0
"""Measure the images and how long their programs take to start: `python3 -m benchmarks.images` writes the table."""

from __future__ import annotations

import argparse
import datetime
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks import answers
from tests.image.build import NAMES, ensure_images
from tests.image.docker import running_docker
from vmtest.errors import HarnessError
from vmtest.progress import say, step

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.image.archive import Size
    from tests.image.build import Images
    from tests.image.docker import Docker

MB: Final = 10**6
GOALS: Final = {"oompolicy": 150}
"""The largest sizes on a node's disk, in MB, by image."""

IMPORTS: Final = {
    "operator": ("oompolicy.controller.leader", "oompolicy.controller.main"),
    "agent": (
        "oompolicy.health",
        "oompolicy_agent.api.environment",
        "oompolicy_agent.main",
        "oompolicy_agent.status.metrics",
    ),
    "loader": ("oompolicy_agent.loader.main",),
}
"""The modules that each program has imported when it begins to work."""
TIMES: Final = 5

# Python would use the compiled files, so this removes them in a copy.
WITHOUT: Final = "find /usr/lib/python3* /opt/oompolicy -name __pycache__ -prune -exec rm -rf {} +"
# Prints the seconds of each start.
CLOCK: Final = """
import subprocess, sys, time
for _ in range(int(sys.argv[1])):
    begun = time.monotonic()
    subprocess.run([sys.executable, "-B", "-c", sys.argv[2]], check=True)
    print(time.monotonic() - begun)
"""


@dataclass(frozen=True)
class Result:
    """Sizes by image, and seconds of the quickest start by program, as shipped and without compiled files."""

    sizes: Mapping[str, Size]
    starts: Mapping[str, tuple[float, float]]


def measure(images: Images) -> Result:
    """Read the sizes of the images, and start each program several times."""
    sizes = {name: images.archive(name).size() for name in NAMES}
    with running_docker({"images": images.folder}) as docker:
        (tag,) = images.archive(NAMES[0]).tags
        docker("load", "--input", f"/mnt/images/{NAMES[0]}.tar")
        with step("images: starts"):
            starts = {
                program: (start(docker, tag, modules, "true"), start(docker, tag, modules, WITHOUT))
                for program, modules in IMPORTS.items()
            }
    return Result(sizes, starts)


def start(docker: Docker, tag: str, modules: Sequence[str], before: str) -> float:
    """Return the seconds of the quickest of several imports in one container. The first reads the files from disk."""
    script = f'{before}; exec /opt/oompolicy/bin/python3 -c "$@"'
    arguments = ("--network=none", "--user=0", "--entrypoint=sh", tag, "-c", script, "sh", CLOCK, str(TIMES))
    done = docker.run(*arguments, f"import {', '.join(modules)}")
    if done.returncode:
        raise HarnessError(f"the container ended with status {done.returncode}: {done.stderr}")
    return min(map(float, done.stdout.split()))


def render(result: Result, date: str) -> str:
    """Return two tables. Pure."""
    lines = [
        f"{date}, amd64. MB are 1,000,000 bytes.",
        "",
        "| image | to fetch, MB | on disk, MB | goal |",
        "|---|---|---|---|",
        *(size_row(name, size) for name, size in result.sizes.items()),
        "",
        "| start until all imports are done, ms | as shipped | without compiled files |",
        "|---|---|---|",
        *(f"| {program} | {a * 1000:.0f} | {b * 1000:.0f} |" for program, (a, b) in result.starts.items()),
    ]
    return "\n".join(lines) + "\n"


def size_row(name: str, size: Size) -> str:
    """Return the row of one image."""
    goal, disk = GOALS.get(name), size.unpacked / MB
    verdict = "" if goal is None else f"{goal}: {'reached' if disk <= goal else 'missed'}"
    return f"| `{name}` | {size.packed / MB:.1f} | {disk:.1f} | {verdict} |"


def main() -> int:
    """Measure, print the result, and write it into the document."""
    parser = argparse.ArgumentParser(prog="python3 -m benchmarks.images", description="Measure the images.")
    parser.add_argument("--dry-run", action="store_true", help="print the result, and do not change the document")
    options = parser.parse_args()
    started = time.monotonic()
    try:
        result = measure(ensure_images())
    except HarnessError as error:
        say(str(error))
        return 1
    text = render(result, datetime.datetime.now(datetime.UTC).date().isoformat())
    print(text)
    say(f"images: {time.monotonic() - started:.0f} s")
    return 0 if options.dry_run else answers.write("images", text)


if __name__ == "__main__":
    sys.exit(main())

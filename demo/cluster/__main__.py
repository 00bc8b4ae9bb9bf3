# SPDX-License-Identifier: Apache-2.0
"""Show the demo's second part, or print a line with the way to get it. `--build` first builds its programs."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from typing import Final

from demo.node.sudo import through_sudo
from tests.cluster.binaries import cached_binaries
from vmtest.cache import CHECKOUT
from vmtest.errors import HarnessError

PYTHON: Final = CHECKOUT / ".venv/bin/python"
PLAY: Final = "demo.cluster.play"
HINT: Final = (
    "demo: the same with kubectl: `make demo-cluster`, which builds an API server first (once, 5 to 15 minutes)"
)


def ready() -> bool:
    """Return True if the programs exist, and the virtual environment has the imports of the play."""
    if cached_binaries() is None or not PYTHON.exists():
        return False
    return run("-c", f"import {PLAY}", quiet=True) == 0


def run(*words: str, quiet: bool = False) -> int:
    """Return the exit status of a command of the virtual environment's Python, in the checkout."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(("operator", "agent", "."))}
    errors = subprocess.DEVNULL if quiet else None
    return subprocess.run([PYTHON, *words], cwd=CHECKOUT, env=environment, stderr=errors, check=False).returncode


def main() -> int:
    """Return 0 if the demo ended as expected, or if this machine cannot show it."""
    parser = argparse.ArgumentParser(prog="python3 -m demo.cluster", description="The demo's second part.")
    parser.add_argument("--build", action="store_true", help="first build the missing programs")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        return through_sudo("demo.cluster", *sys.argv[1:])
    if arguments.build and run("-m", "tests.cluster.binaries"):
        return 1
    try:
        if arguments.build or ready():
            return run("-m", PLAY)
    except HarnessError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    print(HINT)
    return 0


if __name__ == "__main__":
    sys.exit(main())

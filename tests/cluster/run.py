# SPDX-License-Identifier: Apache-2.0
"""Run a cluster with our CRDs until Ctrl-C or SIGTERM: `python3 -m tests.cluster.run [--deploy]`.

The path of an admin's kubeconfig goes to stdout.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from tests.cluster.binaries import ensure_binaries
from tests.cluster.cluster import running_cluster
from tests.cluster.deployment import Deployment
from vmtest.errors import HarnessError
from vmtest.progress import say

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

# What a shell makes of a command that Ctrl-C ended.
INTERRUPTED = 130


def run(*, deploy: bool) -> NoReturn:
    """Start, print the kubeconfig, and go on until we are told to stop. HarnessError; also if a server ends."""
    binaries = ensure_binaries()
    with tempfile.TemporaryDirectory(prefix="oompolicy-cluster-") as name, running_cluster(binaries, Path(name)) as it:
        if deploy:
            Deployment(it).apply()
        print(it.admin, flush=True)
        say(f"{it.kubectl.program} --kubeconfig {it.admin} get oomp,oomn; Ctrl-C ends the cluster")
        it.apiserver.wait()


def interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    """End as by Ctrl-C, and so clean up."""
    raise KeyboardInterrupt


def main() -> int:
    """Run until the end."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.cluster.run", description="Run an API server and etcd.")
    parser.add_argument("--deploy", action="store_true", help="apply deploy/ too")
    arguments = parser.parse_args()
    return until_told(lambda: run(deploy=arguments.deploy))


def until_told(work: Callable[[], NoReturn]) -> int:
    """Do what goes on for ever until Ctrl-C or SIGTERM; the exit status of a program that does nothing else."""
    signal.signal(signal.SIGTERM, interrupt)
    try:
        work()
    except HarnessError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())

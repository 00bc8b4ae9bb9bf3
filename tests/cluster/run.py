# SPDX-License-Identifier: Apache-2.0
"""Run a cluster with the CRDs until Ctrl-C or SIGTERM: `python3 -m tests.cluster.run [--deploy]`.

The program prints the path of an admin's kubeconfig.
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

# The status that a shell reports for a command that Ctrl-C ended.
INTERRUPTED = 130


def run(*, deploy: bool) -> NoReturn:
    """Start a cluster, print the kubeconfig, and continue until an interrupt. HarnessError: a server ends."""
    binaries = ensure_binaries()
    with tempfile.TemporaryDirectory(prefix="oompolicy-cluster-") as name, running_cluster(binaries, Path(name)) as it:
        if deploy:
            Deployment(it).apply()
        print(it.admin, flush=True)
        say(f"{it.kubectl.program} --kubeconfig {it.admin} get oomp,oomn")
        say("press Ctrl-C to end the cluster")
        it.apiserver.wait()


def interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    """Raise KeyboardInterrupt, as Ctrl-C does, so that the cluster is cleaned up."""
    raise KeyboardInterrupt


def main() -> int:
    """Parse the command line, and run the cluster."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.cluster.run", description="Run an API server and etcd.")
    parser.add_argument("--deploy", action="store_true", help="apply deploy/ too")
    arguments = parser.parse_args()
    return until_told(lambda: run(deploy=arguments.deploy))


def until_told(work: Callable[[], NoReturn]) -> int:
    """Run endless work until Ctrl-C or SIGTERM, and return the exit status of the program."""
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

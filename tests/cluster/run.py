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

from tests.cluster.binaries import ensure_binaries
from tests.cluster.cluster import running_cluster
from tests.cluster.deployment import Deployment
from tests.vm.errors import HarnessError
from tests.vm.progress import say

ENDS = {signal.SIGINT, signal.SIGTERM}


def run(*, deploy: bool) -> None:
    """Start, print the kubeconfig, and wait to be told to stop."""
    binaries = ensure_binaries()
    with tempfile.TemporaryDirectory(prefix="oompolicy-cluster-") as name, running_cluster(binaries, Path(name)) as it:
        if deploy:
            Deployment(it).apply()
        print(it.admin, flush=True)
        say(f"cluster: ready at {it.url}; `{it.kubectl.program} --kubeconfig {it.admin} get oomp`; Ctrl-C ends it")
        # Blocked since the start, so that one that comes early is not lost.
        signal.sigwait(ENDS)


def main() -> int:
    """Run until the end."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.cluster.run", description="Run an API server and etcd.")
    parser.add_argument("--deploy", action="store_true", help="apply deploy/ too")
    arguments = parser.parse_args()
    try:
        run(deploy=arguments.deploy)
    except HarnessError as error:
        print(f"cluster: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())

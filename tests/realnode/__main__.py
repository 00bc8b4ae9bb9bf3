# SPDX-License-Identifier: Apache-2.0
"""Run a cluster with one real node until Ctrl-C or SIGTERM: `python3 -m tests.realnode [FILE]`.

The environment for a shell that uses the cluster goes to FILE, or to stdout.
"""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from tests.cluster.binaries import ensure_binaries
from tests.cluster.chart.helm import ensure_helm
from tests.cluster.run import until_told
from tests.realnode.realcluster import real_cluster
from vmtest.progress import say

if TYPE_CHECKING:
    from tests.realnode.realcluster import RealCluster


def run(target: Path | None) -> NoReturn:
    """Start, print how to use the cluster, and run until a signal. HarnessError, also if a server ends."""
    binaries = ensure_binaries()
    with (
        tempfile.TemporaryDirectory(prefix="oompolicy-cluster-") as name,
        real_cluster(binaries, Path(name), None) as cluster,
    ):
        text = environment(cluster)
        if target is None:
            print(text, end="", flush=True)
        else:
            target.write_text(text)
        say(f"ready{f': `. {target}` in a shell' if target else ''}; Ctrl-C ends node and cluster")
        cluster.cluster.apiserver.wait()


def environment(cluster: RealCluster) -> str:
    """Return the variables that give a shell kubectl, helm and the rights of an admin of the cluster."""
    kubectl = cluster.kubectl
    values = {
        "KUBECONFIG": str(kubectl.kubeconfig),
        "KUBECACHEDIR": str(kubectl.cache),
        "PATH": f"{kubectl.program.parent}:{ensure_helm().parent}:{os.environ['PATH']}",
    }
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in values.items())


def main() -> int:
    """Run until the end."""
    return until_told(lambda: run(Path(sys.argv[1]) if sys.argv[1:] else None))


if __name__ == "__main__":
    sys.exit(main())

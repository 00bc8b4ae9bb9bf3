# SPDX-License-Identifier: Apache-2.0
"""Fill a cluster, measure, and write the result into docs/benchmarks.md: `python3 -m benchmarks.cluster`."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks import answers
from benchmarks.cluster import controller, measure, policies
from benchmarks.cluster.agents import GROUP, Agent
from benchmarks.cluster.etcd import Etcd
from benchmarks.cluster.filling import Filling
from benchmarks.cluster.objects import Size, node_name
from benchmarks.cluster.process import held_by_go
from benchmarks.cluster.report import render
from benchmarks.cluster.results import Run
from benchmarks.cluster.setting import describe
from oompolicy.kube.connection import apply, connect
from tests.cluster.binaries import ensure_binaries
from tests.cluster.cluster import running_cluster
from tests.cluster.deployment import Deployment
from tests.cluster.ports import reserved_port
from vmtest.errors import HarnessError
from vmtest.progress import say

if TYPE_CHECKING:
    from tests.cluster.cluster import Cluster

PLACE: Final = "cluster"
PROFILE: Final = "/debug/pprof/heap?gc=1&debug=1"
"""The path of the API server's heap profile, which it takes after a collection of garbage."""
QUOTA: Final = 8 << 30
"""The limit of etcd's store in bytes. 150,000 pods and their changes take more than the default of 2 GiB."""


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    command_line = argparse.ArgumentParser(prog="python3 -m benchmarks.cluster", description=__doc__)
    command_line.add_argument(
        "--pods", type=int, nargs="+", default=[10_000, 50_000, 150_000], metavar="N", help="default: %(default)s"
    )
    command_line.add_argument("--agents", type=int, default=100, metavar="N", help="with watches. Default: %(default)s")
    command_line.add_argument(
        "--seconds", type=float, default=60, help="of churn, each of three times. Default: %(default)s"
    )
    command_line.add_argument("--dry-run", action="store_true", help="print the result, and do not change the document")
    return command_line


class Benchmark:
    """One cluster, which grows from size to size."""

    def __init__(self, cluster: Cluster, options: argparse.Namespace) -> None:
        """Apply the deployment and the policies, as an admin does."""
        self._cluster, self._options = cluster, options
        self._connection = cluster.api.connection
        self._deployment = Deployment(cluster)
        self._deployment.apply()
        self._filling = Filling(Etcd(cluster.etcd_call), self._connection)
        for policy in policies.all_policies():
            path = f"{GROUP}/oompolicies/{policy['metadata']['name']}"
            apply(self._connection, path, policy, manager="benchmark", force=True)

    def run(self, size: Size) -> Run:
        """Grow the cluster to one size, and return all measurements at it."""
        started = time.monotonic()
        self._filling.grow_to(size)
        filled = time.monotonic() - started
        say(f"{size.pods} pods on {size.nodes} nodes: filled in {filled:.0f} s")
        # Each size begins without OOMNodes, as an installation does.
        self._connection.request("DELETE", f"{GROUP}/oomnodes", timeout=300)
        kubeconfig = self._deployment.operator_kubeconfig()
        with reserved_port() as port, controller.running(kubeconfig, port, self._cluster.folder) as operator:
            bench = measure.Bench(
                size=size,
                connection=self._connection,
                controller=operator,
                apiserver=self._cluster.apiserver.pid,
                held=self._held,
                seconds=self._options.seconds,
            )
            return self._measure(bench, filled)

    def _measure(self, bench: measure.Bench, filled: float) -> Run:
        sync = measure.sync(bench)
        say(f"first sync: {sync}")
        steady, per_change = measure.steady(bench)
        say(f"churn: {100 * steady.core:.1f} % of a core, {len(steady.lags)} lags seen")
        agents = [self._agent(node_name(number)) for number in range(self._options.agents)]
        try:
            watches = measure.watches(bench, agents, per_change)
            say(f"agents: {watches}")
            change = measure.change(bench, len(agents))
            say(f"policy change: {change}")
        finally:
            for agent in agents:
                agent.stop()
        return Run(bench.size, filled, sync, steady, change, watches)

    def _held(self) -> float:
        # The lowest of three excludes the memory of requests that are served at that moment.
        return min(held_by_go(self._cluster.kubectl("get", "--raw", PROFILE)) for _ in range(3))

    def _agent(self, node: str) -> Agent:
        return Agent(connect(self._deployment.agent_kubeconfig(node)), node)


def main() -> int:
    """Measure, print the result, and write it into the document."""
    options = parser().parse_args()
    os.environ["ETCD_QUOTA_BACKEND_BYTES"] = str(QUOTA)
    started = time.monotonic()
    try:
        binaries = ensure_binaries()
        with (
            tempfile.TemporaryDirectory(prefix="oompolicy-bench-") as name,
            running_cluster(binaries, Path(name)) as cluster,
        ):
            benchmark = Benchmark(cluster, options)
            runs = [benchmark.run(Size(pods)) for pods in sorted(options.pods)]
            text = render(runs, describe(cluster, binaries))
    except HarnessError as error:
        say(str(error))
        return 1
    print(text)
    say(f"{(time.monotonic() - started) / 60:.0f} minutes")
    return 0 if options.dry_run else answers.write(PLACE, text)


if __name__ == "__main__":
    sys.exit(main())

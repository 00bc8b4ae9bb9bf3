# SPDX-License-Identifier: Apache-2.0
"""Measure the agent on a full node, and write the result into docs/benchmarks.md: `python3 -m benchmarks.realnode`."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks import answers, machine, report
from tests.cluster.binaries import ensure_binaries
from tests.cluster.waiting import eventually
from tests.endtoend.guest import CPUS
from tests.realnode.disk import PAUSE_IMAGE
from tests.realnode.realcluster import AGENTS, NAMESPACE, real_cluster
from tests.realnode.settings import NODE_NAME
from tests.realnode.usage import python_seconds
from vmtest.errors import HarnessError
from vmtest.progress import say, step

if TYPE_CHECKING:
    from typing import Any

    from tests.realnode.realcluster import RealCluster

DEADLINE: Final = 5400.0
"""Seconds: several times the duration of a run under emulation."""

MEMORY_MIB: Final = 4096
"""A shim of containerd takes some 10 MiB per pod."""

CROWD_SECONDS: Final = 2400.0
MAX_PODS: Final = 110
"""The default of a kubelet."""

PRIVATE_GOAL: Final = 40.0
"""The goal for the agent's private memory, in MiB."""
CPU_GOAL: Final = 0.2
"""The goal for the agent's CPU, in per cent of a core."""

PRIVATE_FIELDS: Final = {"Private_Clean", "Private_Dirty"}


@dataclass(frozen=True)
class Result:
    """The agent's memory in KiB, and its `cpu` seconds within `seconds`.

    `filling` and `installing` are the seconds until all pods ran, and until the agent enforced. `slowness` is the
    node's time for the same Python divided by the time of this machine.
    """

    pods: int
    private: float
    rss: float
    cpu: float
    seconds: float
    filling: float
    installing: float
    slowness: float


def measure(cluster: RealCluster, pods: int, seconds: float) -> Result:
    """Install, fill the node, and read the agent's usage twice."""
    begun = time.monotonic()
    with step("realnode: install"):
        cluster.install()
        cluster.set_settings("Enforce", mode="Enforce")
    installed = time.monotonic()
    with step(f"realnode: {pods} pods"):
        last = fill(cluster, pods)
    filled = time.monotonic()
    (agent,) = cluster.api.list("Pod", NAMESPACE, labelSelector=AGENTS)
    process = {"uid": agent["metadata"]["uid"], "program": "oompolicy-agent"}
    eventually(lambda: cluster.guest.order("priority", uid=last), lambda seen: seen is not None, deadline=120)
    before = cluster.guest.order("usage", **process)
    with step(f"realnode: {seconds:.0f} s in which nothing happens"):
        time.sleep(seconds)
    after = cluster.guest.order("usage", **process)
    there, here = cluster.guest.order("python_seconds"), python_seconds()
    return Result(
        pods=len(on_node(cluster)),
        private=sum(after[name] for name in PRIVATE_FIELDS),
        rss=after["Rss"],
        cpu=after["cpu"] - before["cpu"],
        seconds=after["at"] - before["at"],
        filling=filled - installed,
        installing=installed - begun,
        slowness=there / here,
    )


def fill(cluster: RealCluster, pods: int) -> str:
    """Start pods until the node has `pods` with those of the system, and return the uid of one when all run."""
    count = pods - len(on_node(cluster))
    cluster.api.namespace("crowd")
    cluster.api.create(crowd(count))
    eventually(
        lambda: cluster.api.get("Deployment", "crowd", "crowd").get("status", {}).get("readyReplicas"),
        lambda ready: ready == count,
        deadline=CROWD_SECONDS,
    )
    return str(cluster.api.list("Pod", "crowd")[-1]["metadata"]["uid"])


def on_node(cluster: RealCluster) -> list[dict[str, Any]]:
    """Return the pods of the node."""
    return cluster.api.list("Pod", fieldSelector=f"spec.nodeName={NODE_NAME}")


def crowd(count: int) -> dict[str, Any]:
    """Return a Deployment of `count` pods that do nothing."""
    labels = {"app": "crowd"}
    container = {"name": "app", "image": PAUSE_IMAGE}
    # The agent does not use the pods' networks, and to connect each would take a third of its start.
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container], "hostNetwork": True}}
    spec = {"replicas": count, "selector": {"matchLabels": labels}, "template": template}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"namespace": "crowd", "name": "crowd"},
        "spec": spec,
    }


def render(result: Result, host: machine.Machine, kernel: str) -> str:
    """Return a table with the goals. Pure."""
    private, percent = result.private / 1024, 100 * result.cpu / result.seconds
    here = percent / result.slowness
    return "\n".join(
        [
            f"Kernel {kernel}, {host.date}, {host.processor}, {host.cores} cores, QEMU {host.qemu} with "
            f"{report.ACCELS.get(host.accel, host.accel)}, a guest of {host.cpus} CPUs and {host.memory} MiB, "
            f"{result.pods} pods.",
            "",
            "| the agent | found | goal |",
            "|---|---|---|",
            f"| private memory, MiB | {private:.1f} | {verdict(private, PRIVATE_GOAL)} |",
            f"| including shared memory, MiB | {result.rss / 1024:.1f} |  |",
            f"| CPU without changes, % of a core, over {result.seconds:.0f} s | {percent:.2f} |  |",
            f"| the same, divided by {result.slowness:.1f} | {here:.2f} | {verdict(here, CPU_GOAL)} |",
            f"| from `helm install` to Enforcing, s | {result.installing:.0f} |  |",
            "",
            f"Starting the pods took {result.filling:.0f} s.",
            "",
        ]
    )


def verdict(found: float, goal: float) -> str:
    """Return the goal, and `reached` or `missed`."""
    return f"{goal:g}: {'reached' if found <= goal else 'missed'}"


def main() -> int:
    """Measure, print the result, and write it into the document."""
    parser = argparse.ArgumentParser(prog="python3 -m benchmarks.realnode", description="Measure the agent on a node.")
    parser.add_argument("--pods", type=int, default=MAX_PODS, metavar="N", help="on the node. Default: %(default)s")
    parser.add_argument("--seconds", type=float, default=60.0, help="in which nothing happens. Default: %(default)s")
    parser.add_argument("--dry-run", action="store_true", help="print the result, and do not change the document")
    options = parser.parse_args()
    try:
        binaries = ensure_binaries()
        with (
            tempfile.TemporaryDirectory(prefix="oompolicy-bench-") as name,
            real_cluster(binaries, Path(name), DEADLINE, MEMORY_MIB) as cluster,
        ):
            result = measure(cluster, options.pods, options.seconds)
    except (HarnessError, AssertionError) as error:
        say(str(error))
        return 1
    accel, kernel = cluster.guest.ran()
    text = render(result, machine.describe(accel, MEMORY_MIB, CPUS), kernel)
    print(text)
    return 0 if options.dry_run else answers.write("realnode", text)


if __name__ == "__main__":
    sys.exit(main())

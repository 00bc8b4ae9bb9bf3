# SPDX-License-Identifier: Apache-2.0
"""The measurements on a filled cluster, one after the other."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from benchmarks.cluster import policies
from benchmarks.cluster.agents import GROUP, OtherNodes
from benchmarks.cluster.churn import Churn
from benchmarks.cluster.filling import served
from benchmarks.cluster.lag import Histogram, probe
from benchmarks.cluster.objects import PODS_PER_NODE, node_name
from benchmarks.cluster.process import cpu_seconds, memory, peak_mib
from benchmarks.cluster.report import RATE
from benchmarks.cluster.results import Change, Steady, Sync, Watches
from benchmarks.cluster.waiting import wait_until
from oompolicy.kube.connection import apply

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from benchmarks.cluster.agents import Agent
    from benchmarks.cluster.controller import Controller
    from benchmarks.cluster.objects import Size
    from oompolicy.kube.connection import Connection

MARKABLE: Final = 50
"""The number of pods at the end that churn does not change."""


@dataclass(frozen=True)
class Bench:
    """The processes that are measured, and the connection for the load."""

    size: Size
    connection: Connection
    controller: Controller
    apiserver: int  # pid
    held: Callable[[], float]
    """A function that returns the MiB on the API server's heap and stacks."""
    seconds: float  # of churn, each time

    def churn(self) -> Churn:
        """Return a churn of all pods except the last."""
        return Churn(self.connection, self.size.pods - MARKABLE)

    def change_policy(self, value: int) -> int:
        """Change the policy of every pod, and return its new generation."""
        body = policies.every_pod(value)
        written = apply(self.connection, EVERY_POD, body, manager="benchmark", force=True)
        return int(written["metadata"]["generation"])

    def status(self) -> dict[str, Any]:
        """Return the status of the policy of every pod."""
        return dict(self.connection.request("GET", EVERY_POD).get("status", {}))


EVERY_POD: Final = f"{GROUP}/oompolicies/{policies.EVERY_POD}"


def sync(bench: Bench) -> Sync:
    """Measure from the operator's start. There must be no OOMNode yet."""
    ready = bench.controller.wait_until_ready()
    wait_until("an OOMNode per node", lambda: served(bench.connection, f"{GROUP}/oomnodes") == bench.size.nodes)
    oomnodes = time.monotonic() - bench.controller.started
    pid = bench.controller.pid
    return Sync(ready, oomnodes, cpu_seconds(pid), memory(pid), peak_mib(pid))


def steady(bench: Bench) -> tuple[Steady, float]:
    """Measure under churn, and also return the API server's CPU seconds per change."""
    churn, histogram = bench.churn(), Histogram(bench.controller)
    before, api_before = cpu_seconds(bench.controller.pid), cpu_seconds(bench.apiserver)
    done = churn.run(bench.seconds, RATE)
    cpu, api_cpu = cpu_seconds(bench.controller.pid) - before, cpu_seconds(bench.apiserver) - api_before
    found = Steady(
        seconds=done.seconds,
        changes=done.changes,
        latest=done.latest,
        cpu=cpu,
        own_lag_p99=histogram.percentile(0.99),
        # This has a separate run, because polling the metrics costs the operator more than the changes do.
        lags=outside(bench, churn),
        memory=memory(bench.controller.pid),
    )
    return found, api_cpu / done.changes


def outside(bench: Bench, churn: Churn) -> list[float]:
    """Return the lags of marked pods under churn, as seen from outside."""
    over = threading.Event()
    marked = range(bench.size.pods - MARKABLE, bench.size.pods)
    with ThreadPoolExecutor(1) as other:
        probed = other.submit(probe, bench.connection, bench.controller, marked, over)
        churn.run(bench.seconds, RATE)
        over.set()
        return probed.result()


def watches(bench: Bench, agents: Sequence[Agent], alone: float) -> Watches:
    """Measure the cost of the agents for the API server. `alone` is its cost of a pod's change without them."""
    held = bench.held()
    before = cpu_seconds(bench.apiserver)
    for agent in agents:
        agent.start()
    wait_until("all agents have their lists", lambda: all(agent.synced for agent in agents))
    connected = cpu_seconds(bench.apiserver) - before
    grown = bench.held() - held
    before = cpu_seconds(bench.apiserver)
    done = Churn(bench.connection, len(agents) * PODS_PER_NODE).run(bench.seconds, RATE)
    churned = (cpu_seconds(bench.apiserver) - before) / done.changes
    answered, cost = answers(bench, agents)
    return Watches(len(agents), connected, grown, alone, churned, min(answered), max(answered), cost)


def answers(bench: Bench, agents: Sequence[Agent]) -> tuple[list[float], float]:
    """Return each agent's seconds until its answer to a policy change, and the API server's CPU seconds for all."""
    known = [len(agent.policies.answered) for agent in agents]
    before, started = cpu_seconds(bench.apiserver), time.monotonic()
    bench.change_policy(501)
    wait_until(
        "agents answer",
        lambda: all(len(one.policies.answered) > number for one, number in zip(agents, known, strict=True)),
    )
    cost = cpu_seconds(bench.apiserver) - before
    return [max(agent.policies.answered.values()) - started for agent in agents], cost


def change(bench: Bench, agents: int) -> Change:
    """Change the policy of every pod, with answers of all nodes, and return the times."""
    others = OtherNodes(bench.connection, [node_name(number) for number in range(agents, bench.size.nodes)])
    others.start()
    try:
        wait_until("all nodes have applied the policy", lambda: applied(bench) == bench.size.nodes)
        return changed(bench, others)
    finally:
        others.stop()


def changed(bench: Bench, others: OtherNodes) -> Change:
    """Change the policy, and return the times since that was written."""
    before, known = cpu_seconds(bench.controller.pid), len(others.policies.answered)
    generation, started = bench.change_policy(502), time.monotonic()
    observed = wait_until("the change is observed", lambda: bench.status().get("observedGeneration") == generation)
    wait_until("the other nodes answer", lambda: len(others.policies.answered) > known)
    wait_until("all nodes have applied it", lambda: applied(bench) == bench.size.nodes)
    finished = time.monotonic()
    return Change(
        observed=observed - started,
        written=max(others.policies.answered.values()) - started,
        applied=finished - started,
        cpu=cpu_seconds(bench.controller.pid) - before,
    )


def applied(bench: Bench) -> int:
    """Return the number of nodes that have applied the policy of every pod, from its status."""
    return int(bench.status().get("appliedNodes", 0))

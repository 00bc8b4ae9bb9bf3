# SPDX-License-Identifier: Apache-2.0
"""The measurements, one after the other, on a cluster that is filled."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from benchmarks.cluster import policies
from benchmarks.cluster.agents import GROUP, Rest
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
"""The last pods, which churn leaves alone."""


@dataclass(frozen=True)
class Bench:
    """What is measured, and who asks."""

    size: Size
    connection: Connection
    controller: Controller
    apiserver: int  # pid
    held: Callable[[], float]
    """What the API server's heap and stacks hold, in MiB."""
    seconds: float  # of churn, each time

    def churn(self) -> Churn:
        """Of all pods but the last."""
        return Churn(self.connection, self.size.pods - MARKABLE)

    def change_policy(self, value: int) -> int:
        """Of every pod; the policy's new generation."""
        body = policies.every_pod(value)
        written = apply(self.connection, EVERY_POD, body, manager="benchmark", force=True)
        return int(written["metadata"]["generation"])

    def status(self) -> dict[str, Any]:
        """What the operator says of the policy of every pod."""
        return dict(self.connection.request("GET", EVERY_POD).get("status", {}))


EVERY_POD: Final = f"{GROUP}/oompolicies/{policies.EVERY_POD}"


def sync(bench: Bench) -> Sync:
    """From the operator's start; there must be no OOMNode yet."""
    ready = bench.controller.wait_until_ready()
    wait_until("an OOMNode per node", lambda: served(bench.connection, f"{GROUP}/oomnodes") == bench.size.nodes)
    oomnodes = time.monotonic() - bench.controller.started
    pid = bench.controller.pid
    return Sync(ready, oomnodes, cpu_seconds(pid), memory(pid), peak_mib(pid))


def steady(bench: Bench) -> tuple[Steady, float]:
    """Under churn; and the API server's CPU seconds per change."""
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
        # In a time of its own: to look all the time costs the operator more than the changes do.
        lags=outside(bench, churn),
        memory=memory(bench.controller.pid),
    )
    return found, api_cpu / done.changes


def outside(bench: Bench, churn: Churn) -> list[float]:
    """Lags of marked pods under churn."""
    over = threading.Event()
    marked = range(bench.size.pods - MARKABLE, bench.size.pods)
    with ThreadPoolExecutor(1) as other:
        probed = other.submit(probe, bench.connection, bench.controller, marked, over)
        churn.run(bench.seconds, RATE)
        over.set()
        return probed.result()


def watches(bench: Bench, agents: Sequence[Agent], alone: float) -> Watches:
    """What agents cost the API server; `alone` is what a change of a pod costs it without them."""
    held = bench.held()
    before = cpu_seconds(bench.apiserver)
    for agent in agents:
        agent.start()
    wait_until("agents have what they ask for", lambda: all(agent.synced for agent in agents))
    connected = cpu_seconds(bench.apiserver) - before
    grown = bench.held() - held
    before = cpu_seconds(bench.apiserver)
    done = Churn(bench.connection, len(agents) * PODS_PER_NODE).run(bench.seconds, RATE)
    churned = (cpu_seconds(bench.apiserver) - before) / done.changes
    answered, cost = answers(bench, agents)
    return Watches(len(agents), connected, grown, alone, churned, min(answered), max(answered), cost)


def answers(bench: Bench, agents: Sequence[Agent]) -> tuple[list[float], float]:
    """How long each agent takes to answer a change of policy; and the API server's CPU seconds for it."""
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
    """The policy of every pod changes; the nodes that have no agent here are answered for."""
    rest = Rest(bench.connection, [node_name(number) for number in range(agents, bench.size.nodes)])
    rest.start()
    try:
        wait_until("all nodes have applied the policy", lambda: applied(bench) == bench.size.nodes)
        return changed(bench, rest)
    finally:
        rest.stop()


def changed(bench: Bench, rest: Rest) -> Change:
    """Times since the change was written."""
    before, known = cpu_seconds(bench.controller.pid), len(rest.policies.answered)
    generation, started = bench.change_policy(502), time.monotonic()
    observed = wait_until("the change is observed", lambda: bench.status().get("observedGeneration") == generation)
    wait_until("the rest answers", lambda: len(rest.policies.answered) > known)
    wait_until("all nodes have applied it", lambda: applied(bench) == bench.size.nodes)
    finished = time.monotonic()
    return Change(
        observed=observed - started,
        written=max(rest.policies.answered.values()) - started,
        applied=finished - started,
        cpu=cpu_seconds(bench.controller.pid) - before,
    )


def applied(bench: Bench) -> int:
    """Nodes that have applied the policy of every pod, as its status says."""
    return int(bench.status().get("appliedNodes", 0))

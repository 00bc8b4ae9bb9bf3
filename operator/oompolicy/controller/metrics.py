# SPDX-License-Identifier: Apache-2.0
"""The operator's metrics. Numbers of pods, nodes and policies are those of the active replica; a standby has none."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from oompolicy.controller.state import State

_LAG: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Watch(Protocol):
    """An informer, or kopf."""

    @property
    def failing(self) -> str:
        """A sentence while it cannot watch, else empty."""


class Metrics:
    """One registry: nothing is global, so that a test has its own."""

    def __init__(self) -> None:
        """All at zero."""
        self.registry = CollectorRegistry()
        gauge = partial(Gauge, registry=self.registry)
        self.policies = gauge("oompolicy_policies", "OOMPolicies, by whether they are valid", ["ready"])
        self.matched = gauge("oompolicy_policy_matched_pods", "Pods a policy matches", ["policy"])
        self.applied = gauge("oompolicy_policy_applied_nodes", "Nodes that apply a policy as it is now", ["policy"])
        self.pods = gauge("oompolicy_pods", "Pods that have not finished")
        self.shapes = gauge("oompolicy_pod_shapes", "Pods that differ in what a policy can match by")
        self.nodes = gauge("oompolicy_nodes", "Nodes, by how they enforce", ["backend"])
        self.current = gauge("oompolicy_nodes_current", "Nodes that apply exactly the policies there are now")
        self.leader = gauge("oompolicy_operator_leader", "1 on the active replica")
        self.failing = gauge(
            "oompolicy_operator_watch_failing", "1 while a collection cannot be watched", ["collection"]
        )
        self.lag = Histogram(
            "oompolicy_operator_lag_seconds",
            "From the arrival of a change to when it is counted and what is due is written",
            buckets=_LAG,
            registry=self.registry,
        )
        self.errors = Counter("oompolicy_operator_errors", "Requests that failed", ["request"], registry=self.registry)
        self.writes = Counter("oompolicy_operator_writes", "Objects written", ["kind"], registry=self.registry)

    def watch(self, watches: Mapping[str, Watch]) -> None:
        """Say which of these fail, whenever somebody asks."""
        for name, watch in watches.items():
            self.failing.labels(name).set_function(partial(_failing, watch))

    def show(self, state: State, names: Iterable[str]) -> None:
        """What is known, and of the policies, gone ones included, these."""
        for name in names:
            if name in state.policies.known:
                found = state.found(name)
                self.matched.labels(name).set(found.matched)
                self.applied.labels(name).set(found.applied)
            else:
                self.matched.remove(name)
                self.applied.remove(name)
        valid = len(state.policies.valid)
        self.policies.labels("true").set(valid)
        self.policies.labels("false").set(len(state.policies.known) - valid)
        self.pods.set(state.census.pods)
        self.shapes.set(state.census.shapes)
        self.current.set(state.hashes.get(state.policies.current_hash, 0))
        for backend, number in state.backends.items():
            self.nodes.labels(backend).set(number)


def _failing(watch: Watch) -> float:
    return float(bool(watch.failing))

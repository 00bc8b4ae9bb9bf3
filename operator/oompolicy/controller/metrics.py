# SPDX-License-Identifier: Apache-2.0
"""The operator's metrics. Only the active replica has numbers of pods, nodes and policies."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from oompolicy.controller.state import State

_LAG: Final = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Watch(Protocol):
    """A watch of one collection, by an informer or by kopf."""

    @property
    def failing(self) -> str | None:
        """The problem while the collection cannot be watched."""


class Metrics:
    """The metrics of one registry. None is global, so that each test has its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        gauge = partial(Gauge, registry=self.registry)
        self.policies = gauge("oompolicy_policies", "Valid and invalid OOMPolicies", ["ready"])
        self.matched = gauge("oompolicy_policy_matched_pods", "Pods that a policy matches", ["policy"])
        self.applied = gauge(
            "oompolicy_policy_applied_nodes", "Nodes that apply the current generation of a policy", ["policy"]
        )
        self.pods = gauge("oompolicy_pods", "Unfinished pods")
        self.shapes = gauge("oompolicy_pod_shapes", "Different shapes of pods, by the fields that a policy can match")
        self.nodes = gauge("oompolicy_nodes", "Nodes by backend", ["backend"])
        self._modes: set[str] = set()  # the same for modes
        self._backends: set[str] = set()  # those that a node had once, so that the number of the last one becomes 0
        self.modes = gauge("oompolicy_nodes_by_mode", "Nodes by the mode that they report", ["mode"])
        self.differing = gauge(
            "oompolicy_nodes_other_mode", "Nodes that report another mode than the one that they have to be in"
        )
        self.overridden = gauge(
            "oompolicy_nodes_mode_overridden", "OOMNodes whose spec.mode another field manager has written"
        )
        self.settings = gauge("oompolicy_settings", "Valid and invalid OOMSettings", ["ready"])
        self.suspended = gauge("oompolicy_suspended", "1 while OOMSettings suspends all nodes")
        self.current = gauge("oompolicy_nodes_current", "Nodes that apply exactly the current set of policies")
        self.silent = gauge("oompolicy_nodes_silent", "Nodes whose agent is silent")
        self.leader = gauge("oompolicy_operator_leader", "1 on the active replica")
        self.failing = gauge(
            "oompolicy_operator_watch_failing", "1 while a collection cannot be watched", ["collection"]
        )
        self.lag = Histogram(
            "oompolicy_operator_lag_seconds",
            "Seconds from the arrival of a change until it is counted and the due writes are done",
            buckets=_LAG,
            registry=self.registry,
        )
        self.errors = Counter("oompolicy_operator_errors", "Requests that failed", ["request"], registry=self.registry)
        self.writes = Counter("oompolicy_operator_writes", "Objects written", ["kind"], registry=self.registry)

    def watch(self, watches: Mapping[str, Watch]) -> None:
        """Report which of these watches fail, at each scrape."""
        for name, watch in watches.items():
            self.failing.labels(name).set_function(partial(_failing, watch))

    def update(self, state: State, names: Iterable[str]) -> None:
        """Set all metrics from the state. `names` are the changed policies, including deleted ones."""
        for name in names:
            if name in state.policies.records:
                counts = state.counts(name)
                self.matched.labels(name).set(counts.matched)
                self.applied.labels(name).set(counts.applied)
            else:
                self.matched.remove(name)
                self.applied.remove(name)
        valid = len(state.policies.valid)
        self.policies.labels("true").set(valid)
        self.policies.labels("false").set(len(state.policies.records) - valid)
        self.pods.set(state.census.pods)
        self.shapes.set(state.census.shapes)
        self.current.set(state.hashes.get(state.policies.current_hash, 0))
        self.silent.set(state.silent)
        self._backends |= set(state.backends)
        for backend in self._backends:
            self.nodes.labels(backend).set(state.backends.get(backend, 0))
        self._update_modes(state)

    def _update_modes(self, state: State) -> None:
        modes, settings = state.modes, state.modes.settings
        for mode in {*state.by_mode, *self._modes}:
            self.modes.labels(mode).set(state.by_mode.get(mode, 0))
        self._modes |= set(state.by_mode)
        self.differing.set(modes.differing)
        self.overridden.set(len(modes.overridden))
        invalid = bool(settings.record and settings.record.problem)
        self.settings.labels("true").set(bool(settings.record) and not invalid)
        self.settings.labels("false").set(invalid)
        self.suspended.set(bool(settings.valid and settings.valid.suspend))


def _failing(watch: Watch) -> float:
    return float(watch.failing is not None)

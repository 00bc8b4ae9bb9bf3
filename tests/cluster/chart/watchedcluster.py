# SPDX-License-Identifier: Apache-2.0
"""The metrics of a cluster over time, from the collectors and the state of operator and agents.

Only time is played: a minute here is two scrapes, and an agent that lives sends a heartbeat before each of them.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import count
from typing import TYPE_CHECKING

from prometheus_client import generate_latest

from oompolicy.controller.heartbeats import Heartbeat
from oompolicy.controller.metrics import Metrics as OperatorMetrics
from oompolicy.controller.nodetable import Node, NodeCondition, NodeReport
from oompolicy.controller.state import State
from oompolicy_agent.status.counters import CollectionState, Counters
from oompolicy_agent.status.metrics import Metrics as AgentMetrics
from tests.cluster.chart.scrapes import Scrapes
from tests.unit.agent.status.test_document import GOOD
from tests.unit.controller.raws import raw_policy

if TYPE_CHECKING:
    from oompolicy_agent.status.document import View


_CLAIM = NodeCondition("Enforcing", "True", "Attached", "")


@dataclass
class PlayedAgent:
    """An agent: its counters, its view, and its collections. All three may be changed between two scrapes."""

    counters: Counters = field(default_factory=Counters)
    view: View = GOOD
    followed: dict[str, CollectionState] = field(
        default_factory=lambda: {"pods": CollectionState(synced=True, failing=False, quiet_seconds=1.0)}
    )

    def __post_init__(self) -> None:
        self.metrics = AgentMetrics(self.counters, lambda: self.view, lambda: self.followed)


class PlayedOperator:
    """An active replica. It lists everything when it starts."""

    def __init__(self, cluster: WatchedCluster) -> None:
        self.metrics, self.state = OperatorMetrics(), State(silent_after=600)
        self.state.policies_listed([raw_policy("first")], [])
        self.state.pods_listed({})
        self.state.namespaces_listed({})
        self.state.nodes_listed({f"uid-{name}": Node(name, "boot") for name in cluster.nodes})
        self.state.oomnodes_listed(cluster.reports)
        self.metrics.leader.set(1)

    def listen(self, cluster: WatchedCluster, seconds: float) -> None:
        """Receive the changes of this time and mark silent agents, as the operator's loop does."""
        self.state.nodes_listed({f"uid-{name}": Node(name, "boot") for name in cluster.nodes})
        self.state.oomnodes_listed(cluster.reports)
        self.state.heartbeats.listen(seconds)
        self.metrics.update(self.state, self.state.evaluate())
        for name, reason in self.state.unmarked.items():
            marks = (NodeCondition("Enforcing", "Unknown", reason, ""),)
            cluster.reports[name] = cluster.reports[name]._replace(conditions=marks)


class WatchedCluster:
    """Three nodes with an agent each, one active operator, one standby, and a Prometheus."""

    def __init__(self) -> None:
        self._numbers = count()
        self.scrapes = Scrapes()
        self.policy_hash = ""
        self.nodes = ["n1", "n2", "n3"]
        self.agents = {name: PlayedAgent() for name in self.nodes}
        self.reports: dict[str, NodeReport] = {}
        self._beat()
        self.operator: PlayedOperator | None = None
        self.standby: OperatorMetrics | None = None
        self.start_operator()

    def run(self, minutes: int) -> WatchedCluster:
        """Let the time pass."""
        for _ in range(minutes * 60 // Scrapes.INTERVAL):
            self._beat()
            if self.operator:
                self.operator.listen(self, Scrapes.INTERVAL)
            self.scrapes.add(self._answers())
        return self

    def kill_agents(self, *nodes: str) -> WatchedCluster:
        """Remove the agents of these nodes. Their OOMNodes stay as they are."""
        for node in nodes:
            del self.agents[node]
        return self

    def start_agent(self, node: str) -> WatchedCluster:
        """Start a new agent on a node, with counters of its own."""
        self.agents[node] = PlayedAgent()
        return self

    def add_node(self, name: str) -> WatchedCluster:
        """Add a node without an agent. The operator creates its OOMNode."""
        self.nodes.append(name)
        return self.delete_oomnode(name)

    def delete_oomnode(self, name: str) -> WatchedCluster:
        """Delete the OOMNode of a node. The operator creates an empty one."""
        self.reports[name] = NodeReport(name, "", "")
        return self

    def remove_node(self, name: str) -> WatchedCluster:
        """Delete the Node, its OOMNode and its agent."""
        self.nodes.remove(name)
        del self.agents[name], self.reports[name]
        return self

    def stop_operator(self) -> WatchedCluster:
        """Remove both replicas."""
        self.operator = self.standby = None
        return self

    def start_operator(self) -> WatchedCluster:
        """Start two new replicas, which know nothing of an earlier one."""
        self.operator, self.standby = PlayedOperator(self), OperatorMetrics()
        return self

    def see(self, node: str, **facts: object) -> None:
        """Change the view of an agent."""
        self.agents[node].view = replace(self.agents[node].view, **facts)  # type: ignore[arg-type]

    def _beat(self) -> None:
        for name in self.agents:
            beat = Heartbeat(f"t{next(self._numbers)}", "boot")
            self.reports[name] = NodeReport(name, "EvaluateTask", self.policy_hash, (_CLAIM,), beat)

    def _answers(self) -> dict[tuple[str, str], bytes]:
        texts = {(name, f"agent-{name}"): agent.metrics.text() for name, agent in self.agents.items()}
        if self.operator and self.standby:
            texts["n1", "operator-1"] = generate_latest(self.operator.metrics.registry)
            texts["n2", "operator-2"] = generate_latest(self.standby.registry)
        return texts

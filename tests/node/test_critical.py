# SPDX-License-Identifier: Apache-2.0
"""Processes that the node itself depends on outlive its workloads, even if a policy matches every pod."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.node.hog import run_out_of_memory
from tests.node.kubelet import Kubelet, Pod, policy_manifest, write_manifests
from tests.node.running_agent import RunningAgent, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.node.hog import Hog
    from tests.node.machine import Node
    from tests.node.policy import Policy

NODE_CRITICAL = "system-node-critical"
PROXY = Pod("kube-proxy", namespace="kube-system", qos="BestEffort", priority_class=NODE_CRITICAL)
ETCD = Pod("etcd-node-a", namespace="kube-system", qos="Burstable", static=True)
BANK = Pod("bank", qos="Guaranteed")
EVERY_POD: dict[str, Any] = {"priority": {"value": 100}}
BY_QOS_CLASS = {"priority": {"byQOSClass": {"guaranteed": 900, "burstable": 200, "bestEffort": 100}}}
BY_NAME = {"precedence": 1, "match": {"priorityClassNames": [NODE_CRITICAL]}, "priority": {"value": 50}}


@pytest.fixture
def agent(policy: Policy, tmp_path: Path) -> Iterator[RunningAgent]:
    assert policy
    for parent in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        parent.chmod(0o755)
    agent = RunningAgent(tmp_path / "agent", Path("/run/oompolicy"))
    yield agent
    agent.kill()
    print(agent.log.read_text() if agent.log.exists() else "")


class CriticalNode:
    """kube-proxy, a static pod and a Guaranteed pod, each with the oom_score_adj that the kubelet gives it."""

    def __init__(self, node: Node, agent: RunningAgent, policy: Policy) -> None:
        self.node, self.agent, self.policy, self.kubelet = node, agent, policy, Kubelet(node)
        write_manifests(agent.manifests, *(pod.manifest() for pod in (PROXY, ETCD, BANK)))
        self.proxy = node.hog(self.kubelet.container(PROXY, "app"), 10, adj=-997)
        self.etcd = node.hog(self.kubelet.container(ETCD, "app"), 20, adj=900)

    def apply(self, name: str, spec: dict[str, Any], *priorities: int) -> None:
        """Write the policy, and wait for the priorities of kube-proxy, the static pod and the Guaranteed pod."""
        write_manifests(self.agent.manifests, policy_manifest(name, **spec))
        self.await_priorities(*priorities)

    def await_priorities(self, *priorities: int) -> None:
        containers = [self.kubelet.container(pod, "app").id for pod in (PROXY, ETCD, BANK)]

        def found() -> list[tuple[int, int] | None]:
            return [self.policy.entries.get(each) for each in containers]

        wait_until(f"{priorities}", lambda: list(priorities) == [each[0] if each else None for each in found()])

    def first_victim(self) -> Hog:
        """Let the Guaranteed pod grow until the kernel has killed a process, and return that process."""
        bank = self.node.hog(self.kubelet.container(BANK, "app"), 0, adj=-997)
        dead = run_out_of_memory(bank, (self.proxy, self.etcd))
        bank.end()
        assert bank in dead or self.proxy in dead
        return dead[0]


def test_node_critical_pods_outlive_a_guaranteed_one(node: Node, policy: Policy, agent: RunningAgent) -> None:
    """Only a policy that names the PriorityClass lowers the priority of a pod with it.

    No policy, a policy for every pod, and a policy by QoS class leave node-critical pods as they are.
    """
    critical = CriticalNode(node, agent, policy)
    agent.start()
    critical.await_priorities(1000, 1000, 800)
    for spec, bank in ((None, 800), (EVERY_POD, 100), (BY_QOS_CLASS, 900)):
        if spec:
            critical.apply("pods", spec, 1000, 1000, bank)
        assert critical.first_victim() not in (critical.proxy, critical.etcd), spec

    critical.apply("named", BY_NAME, 50, 1000, 900)
    assert critical.proxy is critical.first_victim()
    assert critical.etcd.alive

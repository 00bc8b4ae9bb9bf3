# SPDX-License-Identifier: Apache-2.0
"""After too many kills by policies, the kernel chooses its own victims, until the limit changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.node.hog import run_out_of_memory
from tests.node.kubelet import Kubelet, Pod, policy_manifest, write_manifests
from tests.node.running_agent import wait_until

if TYPE_CHECKING:
    from tests.node.machine import Node
    from tests.node.running_agent import RunningAgent

pytestmark = pytest.mark.once

LIMIT: Final = 2
POLICY: Final = policy_manifest(
    "batch", match={"podSelector": {"matchLabels": {"app": "batch"}}}, priority={"value": 1}
)
SIZES: Final = {**{f"batch-{number}": 4 for number in range(8)}, "web": 12, "postgres": 16}
"""MiB. The kernel alone would kill the largest first, and the policy the batch pods."""


def pod_of(name: str) -> Pod:
    return Pod(name, namespace="shop", qos="Burstable", labels={"app": name.partition("-")[0]})


class Shop:
    """Pods below one limit, each with one process, and an agent that enforces."""

    def __init__(self, node: Node, agent: RunningAgent) -> None:
        self.node, self.agent, self.kubelet = node, agent, Kubelet(node)
        self.pods = {name: pod_of(name) for name in SIZES}
        self.hogs = {name: node.hog(self.kubelet.container(pod, "app"), SIZES[name]) for name, pod in self.pods.items()}
        self.allow(LIMIT)
        agent.start()
        self.await_mode("Enforce")

    def allow(self, kills: int) -> None:
        """Change maxKillsPerMinute."""
        spec = {"mode": "Enforce", "maxKillsPerMinute": kills}
        settings: dict[str, Any] = {
            "apiVersion": "oompolicy.dev/v1alpha1",
            "kind": "OOMSettings",
            "metadata": {"name": "cluster"},
            "spec": spec,
        }
        write_manifests(self.agent.manifests, POLICY, settings, *(pod.manifest() for pod in self.pods.values()))

    def await_mode(self, mode: str) -> None:
        wait_until(f"the mode {mode}", lambda: self.agent.status()["mode"] == mode)

    @property
    def largest(self) -> str:
        return max(self.hogs, key=SIZES.__getitem__)

    def kill(self) -> list[str]:
        """Run all pods out of memory, and return the names of the victims in the kernel's order."""
        trigger = self.node.hog(self.kubelet.kubepods.child("trigger"), 0, adj=-1000)
        dead = run_out_of_memory(trigger, self.hogs.values())
        trigger.end()
        names = [name for hog in dead for name, each in self.hogs.items() if hog is each]
        for name in names:
            del self.hogs[name]
        return names

    def exceed_the_limit(self) -> None:
        """Let the policy choose victims until the circuit is open. Each of them is a batch pod."""
        killed: list[str] = []
        while len(killed) <= LIMIT:
            killed += self.kill()
        # A further process may die in the last OOM, after the agent has opened the circuit.
        assert all(name.startswith("batch-") for name in killed[: LIMIT + 1])
        self.await_mode("Audit")


def test_after_too_many_kills_the_kernel_chooses(node: Node, agent: RunningAgent) -> None:
    """The largest pod dies, which the policy would have spared. A new limit makes the node enforce again."""
    shop = Shop(node, agent)
    shop.exceed_the_limit()
    assert ("True", "TooManyKills") == tuple(agent.condition("CircuitOpen")[key] for key in ("status", "reason"))
    largest = shop.largest
    assert largest == shop.kill()[0]
    shop.allow(LIMIT + 10)
    shop.await_mode("Enforce")

    assert shop.kill()[0].startswith("batch-")


def test_the_circuit_stays_open_without_the_agent(node: Node, agent: RunningAgent) -> None:
    """A killed agent closes nothing, and neither does the next one."""
    shop = Shop(node, agent)
    shop.exceed_the_limit()
    agent.kill()
    largest = shop.largest
    assert largest == shop.kill()[0]
    agent.start()
    shop.await_mode("Audit")

    largest = shop.largest
    assert largest == shop.kill()[0]

# SPDX-License-Identifier: Apache-2.0
"""The priorities of OOMSettings decide which process dies: those of pods without a policy, and that of the host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from oompolicy_agent.kernel.layout import HOST_PRIORITY
from tests.node.hog import run_out_of_memory
from tests.node.kubelet import Kubelet, Pod, write_manifests
from tests.node.policy import attach
from tests.node.running_agent import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.node.hog import Hog
    from tests.node.machine import Node
    from tests.node.policy import Policy
    from tests.node.running_agent import RunningAgent

pytestmark = pytest.mark.once

BATCH: Final = Pod("batch", qos="BestEffort")
WEB: Final = Pod("web", qos="Burstable")


@pytest.fixture
def agent(agent: RunningAgent, policy: Policy) -> Iterator[RunningAgent]:
    """Yield the agent. After it, the next test has the usual priority of the host."""
    yield agent
    agent.kill()
    policy.settings.change(host_priority=HOST_PRIORITY)


class Shop:
    """Two pods without a policy, and an agent that enforces."""

    def __init__(self, node: Node, agent: RunningAgent, policy: Policy) -> None:
        self.node, self.agent, self.policy, self.kubelet = node, agent, policy, Kubelet(node)
        self.settle()
        write_manifests(agent.manifests, *(pod.manifest() for pod in (BATCH, WEB)))
        self.batch, self.web = self.hog(BATCH, 8), self.hog(WEB, 16)
        agent.start()
        self.await_priorities(200, 500)

    def hog(self, pod: Pod, mib: int) -> Hog:
        return self.node.hog(self.kubelet.container(pod, "app"), mib)

    def settle(self, **spec: Any) -> None:  # noqa: ANN401 (as JSON has it)
        """Write OOMSettings."""
        settings = {"apiVersion": "oompolicy.dev/v1alpha1", "kind": "OOMSettings", "metadata": {"name": "cluster"}}
        write_manifests(self.agent.manifests, {**settings, "spec": {"mode": "Enforce", **spec}})

    def await_priorities(self, batch: int, web: int) -> None:
        containers = [self.kubelet.container(pod, "app").id for pod in (BATCH, WEB)]

        def found() -> list[int | None]:
            return [entry[0] if (entry := self.policy.entries.get(each)) else None for each in containers]

        wait_until(f"{batch} and {web}", lambda: [batch, web] == found())

    def first_victim(self, trigger: Hog) -> Hog:
        """Let a process grow until the kernel has killed one."""
        dead = run_out_of_memory(trigger, [each for each in (self.batch, self.web) if each.alive])
        trigger.end()
        return dead[0]


def test_pods_without_a_policy_die_in_the_order_of_the_defaults(
    node: Node, agent: RunningAgent, policy: Policy
) -> None:
    """The admin turns the order of the QoS classes round. The kernel alone would kill the larger process."""
    shop = Shop(node, agent, policy)
    place = shop.kubelet.kubepods.child("trigger")
    assert shop.batch is shop.first_victim(node.hog(place, 0, adj=-1000))
    shop.batch = shop.hog(BATCH, 30)
    shop.settle(defaults={"bestEffort": 600, "burstable": 300})
    shop.await_priorities(600, 300)

    assert shop.web is shop.first_victim(node.hog(place, 0, adj=-1000))


def test_the_hosts_priority_decides_between_pods_and_host(node: Node, agent: RunningAgent, policy: Policy) -> None:
    """A process of the host dies before a pod with a higher priority, and a new loader changes nothing."""
    shop = Shop(node, agent, policy)
    place = node.cgroup("host")
    node.fill()
    assert shop.batch is shop.first_victim(node.hog(place, 0))
    # More than one process may have died.
    shop.batch, shop.web = shop.hog(BATCH, 8), shop.web if shop.web.alive else shop.hog(WEB, 16)
    shop.settle(hostPriority=150)
    wait_until("the priority 150", lambda: policy.settings.host_priority() == 150)
    attach()
    assert 150 == policy.settings.host_priority()

    trigger = node.hog(place, 0)
    assert trigger is shop.first_victim(trigger)
    assert shop.batch.alive
    assert shop.web.alive

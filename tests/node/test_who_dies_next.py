# SPDX-License-Identifier: Apache-2.0
"""`oompolicy order` names each victim beforehand: the policies' choice, and in mode Audit the kernel's own."""

from __future__ import annotations

import http.client
import json
import socket
from contextlib import closing
from typing import TYPE_CHECKING, Final

import pytest

from oompolicy.order.facts import PATH, SOCKET, NodeFacts, parse
from oompolicy.order.rank import KUBEPODS, ranked
from tests.node.hog import run_out_of_memory
from tests.node.kubelet import Kubelet, Pod, policy_manifest, write_manifests
from tests.node.running_agent import RUN_DIR, UID, RunningAgent, wait_until

if TYPE_CHECKING:
    from oompolicy.order.rank import Ranked
    from tests.node.hog import Hog
    from tests.node.machine import Node

pytestmark = pytest.mark.once

POLICIES: Final = (
    policy_manifest("databases", match={"podSelector": {"matchLabels": {"app": "postgres"}}}, priority={"value": 900}),
    policy_manifest("batch", match={"podSelector": {"matchLabels": {"app": "report"}}}, priority={"value": 100}),
)
SIZES: Final = {"report": 6, "cache": 8, "web": 11, "api": 14, "postgres": 15}
"""MiB. The kernel would kill the Burstable pods first, because they are large and their requests are small."""
PODS: Final = (
    Pod("report", namespace="batch", qos="BestEffort", labels={"app": "report"}),
    Pod("cache", namespace="shop", qos="BestEffort"),
    Pod("web", namespace="shop", qos="Burstable"),
    Pod("api", namespace="shop", qos="Burstable"),
    Pod("postgres", namespace="shop", qos="Guaranteed", labels={"app": "postgres"}),
)


def settings(mode: str) -> dict[str, object]:
    return {
        "apiVersion": "oompolicy.dev/v1alpha1",
        "kind": "OOMSettings",
        "metadata": {"name": "cluster"},
        "spec": {"mode": mode},
    }


def facts() -> NodeFacts:
    """Ask the agent as `oompolicy order --socket` does."""
    client = http.client.HTTPConnection("localhost")
    with closing(socket.socket(socket.AF_UNIX)) as connected:
        connected.connect(str(RUN_DIR / SOCKET))
        client.sock = connected
        client.request("GET", PATH)
        answer = client.getresponse()
        body = answer.read()
    assert http.client.OK == answer.status, body
    return parse(json.loads(body))


def order() -> list[Ranked]:
    return ranked(facts(), KUBEPODS)


class Shop:
    """Five pods below one limit, each with one process. The kubelet's scores come from the agent's own answer."""

    def __init__(self, node: Node, agent: RunningAgent, mode: str) -> None:
        self.node, self.kubelet = node, Kubelet(node)
        for pod in PODS:
            self.kubelet.container(pod, "app")
        write_manifests(agent.manifests, *POLICIES, settings(mode), *(pod.manifest() for pod in PODS))
        agent.start()
        self.hogs = {pod.name: self._start(pod, 0) for pod in PODS}
        wait_until("all five containers", lambda: len(order()) == len(PODS))
        scores = {each.container.pod: each.container.score for each in order()}
        for pod in PODS:
            self.hogs[pod.name].end()
            self.hogs[pod.name] = self._start(pod, scores[pod.name] or 0, SIZES[pod.name])
        wait_until("the mode", lambda: facts().mode == mode)

    def _start(self, pod: Pod, score: int, mib: int = 1) -> Hog:
        return self.node.hog(self.kubelet.container(pod, "app"), mib, adj=score)

    def kill_one(self) -> list[str]:
        """Run all pods out of memory, and return the names of the victims in the kernel's order."""
        trigger = self.node.hog(self.kubelet.kubepods.child("trigger"), 0)
        dead = run_out_of_memory(trigger, self.hogs.values())
        trigger.end()
        names = [name for hog in dead for name, each in self.hogs.items() if hog is each]
        for name in names:
            del self.hogs[name]
        return names


def test_order_names_each_victim_beforehand(node: Node, agent: RunningAgent) -> None:
    """Four OOMs one after the other kill the first of the order each time, with the kubelet's scores in force."""
    shop = Shop(node, agent, "Enforce")
    killed: list[str] = []
    while len(shop.hogs) > 1:
        said = [each.container.pod for each in order()]
        assert set(said) == set(shop.hogs)
        victims = shop.kill_one()
        assert said[: len(victims)] == victims
        killed += victims

    assert ["report", "cache", "api", "web"] == killed
    assert ["postgres"] == [each.container.pod for each in order()]


def test_the_rank_of_the_kernel_names_each_victim_of_the_mode_audit(node: Node, agent: RunningAgent) -> None:
    """In this mode the kernel chooses, and the column KERNEL has its choice."""
    shop = Shop(node, agent, "Audit")
    killed: list[str] = []
    while len(shop.hogs) > 1:
        said = [each.container.pod for each in sorted(order(), key=lambda each: each.kernel or 0)]
        victims = shop.kill_one()
        assert said[: len(victims)] == victims
        killed += victims

    assert ["api", "web", "cache", "report"] == killed


def test_the_socket_belongs_to_the_agents_user(node: Node, agent: RunningAgent) -> None:
    """No other user can ask the agent, except root."""
    assert node
    agent.start()
    found = (RUN_DIR / SOCKET).stat()

    assert (UID, 0o600) == (found.st_uid, found.st_mode & 0o777)


def test_memory_is_that_of_the_container(node: Node, agent: RunningAgent) -> None:
    """The memory is what the process holds, within a MiB."""
    shop = Shop(node, agent, "Enforce")
    found = {each.container.pod: each.container.memory or 0 for each in order()}

    assert set(SIZES) == set(shop.hogs)
    assert [] == [name for name, mib in SIZES.items() if not mib << 20 <= found[name] <= (mib + 1) << 20]


def test_each_container_has_the_priority_that_the_map_holds(node: Node, agent: RunningAgent) -> None:
    """The agent, which has no capability, reads the map for each answer. `oompolicy explain` shows the entries."""
    Shop(node, agent, "Enforce")
    found = facts()

    assert ("Entries", "") == (found.holding, found.held_problem)
    assert {"report": 100, "postgres": 900} == {
        each.pod: each.held for each in found.containers if each.pod in ("report", "postgres")
    }
    assert [each.priority for each in found.containers] == [each.held for each in found.containers]

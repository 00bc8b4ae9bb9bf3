# SPDX-License-Identifier: Apache-2.0
"""No pod takes over the cgroup of another pod by naming its uid, even while the other pod's object is gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.cluster import objects
from tests.cluster.agent.objects import policy
from tests.cluster.waiting import eventually

if TYPE_CHECKING:
    from tests.cluster.agent.running import RunningAgent
    from tests.cluster.api import Api

FIRST, LAST = "a-tenant", "z-tenant"
APP: Final = "ab" * 32
REQUESTS: Final = {"memory": "1Mi"}
CRITICAL: Final = "system-node-critical"
MIRROR: Final = "kubernetes.io/config.mirror"
HASHES: Final = ("d41d8cd98f00b204e9800998ecf8427e", "9e107d9d372bb6826bd81d3542a419d6")


@pytest.fixture
def claims(agent: RunningAgent, api: Api, team: str) -> Claims:
    """Create policies that give 900 to pods of `app: web` and 10 to those of a tenant, and start the agent.

    A policy has to name the PriorityClass of mirror pods, so there are two more policies for these.
    """
    for namespace in (FIRST, LAST):
        api.namespace(namespace)
    api.create(policy("web", 900))
    api.create(policy("evil", 10, match={"podSelector": {"matchLabels": {"app": "evil"}}}))
    for name, label, priority in (("web-static", "web", 900), ("evil-static", "evil", 10)):
        match = {"podSelector": {"matchLabels": {"app": label}}, "priorityClassNames": [CRITICAL]}
        api.create(policy(name, priority, match=match))
    agent.start()
    return Claims(agent, api, team)


class Claims:
    """Mirror pods of kubelets and of tenants, and the pods that Events name."""

    def __init__(self, agent: RunningAgent, api: Api, team: str) -> None:
        self.agent, self.api, self.team = agent, api, team
        self._tgid = 100

    def mirror(self, namespace: str, name: str, uid: str, label: str, *, owner: bool = True) -> dict[str, Any]:
        """Create a mirror pod. With `owner` it is like the kubelet's, which a tenant may create too."""
        labels, annotations = {"app": label}, {MIRROR: uid}
        made = objects.pod(
            namespace, name, node=self.agent.node, labels=labels, annotations=annotations, requests=REQUESTS
        )
        node = self.api.get("Node", self.agent.node)
        reference = {"apiVersion": "v1", "kind": "Node", "name": self.agent.node, "controller": True}
        made["metadata"]["ownerReferences"] = [reference | {"uid": node["metadata"]["uid"]}] if owner else []
        made["spec"] |= {"automountServiceAccountToken": False, "priorityClassName": CRITICAL}
        return self.api.create(made)

    def forge(self, namespace: str, name: str, uid: str, *, owner: bool) -> None:
        """Create a mirror pod that claims a cgroup of another pod, and wait for the refusal."""
        self.mirror(namespace, name, uid, "evil", owner=owner)
        eventually(
            lambda: [each for each in self.api.list("Event", namespace) if each["regarding"]["name"] == name],
            lambda events: any(f"annotation {MIRROR}: {uid!r} is refused" in each["note"] for each in events),
        )

    def victim(self, path: str) -> tuple[str, str]:
        """Kill a process of this cgroup, and return namespace and name of the pod in its Event."""
        self._tgid += 1
        self.agent.oom_kill(path, self._tgid)
        (event,) = eventually(
            lambda: [each for each in self.api.list("Event") if f"(pid {self._tgid}," in each["note"]], bool
        )
        return event["regarding"]["namespace"], event["regarding"]["name"]


def wait_for_priority(agent: RunningAgent, path: str, priority: int) -> None:
    eventually(lambda: agent.priority(path), lambda found: found == priority, deadline=60)


def test_a_pod_keeps_its_cgroup_if_other_pods_name_its_uid(agent: RunningAgent, api: Api, claims: Claims) -> None:
    """Forged pods in namespaces that sort before and after get an Event each. Victims keep their pod's name."""
    pod = api.pod(claims.team, "web-0", node=agent.node, labels={"app": "web"}, requests=REQUESTS)
    container = agent.run(pod, APP)
    api.run(pod, {"app": APP})
    wait_for_priority(agent, container, 900)
    for namespace in (FIRST, LAST):
        for owner in (False, True):
            claims.forge(namespace, f"x-{owner}".lower(), pod["metadata"]["uid"], owner=owner)

    assert (claims.team, "web-0") == claims.victim(container)
    assert {900} == set(agent.priorities(container)) == set(agent.priorities(agent.cgroup_of(pod)))
    assert 4 == agent.metric("claims_refused")


def test_a_static_pod_keeps_its_cgroup_if_other_pods_name_its_hash(
    agent: RunningAgent, api: Api, claims: Claims
) -> None:
    """The cgroup stays that of its mirror pod, even if a forged mirror pod was created first."""
    before, after = (agent.run({"metadata": {"uid": uid}}, APP) for uid in HASHES)
    api.run(claims.mirror(claims.team, "before-node-1", HASHES[0], "web"), {"app": APP})
    wait_for_priority(agent, before, 900)
    claims.forge(FIRST, "bare", HASHES[0], owner=False)
    claims.forge(LAST, "owned", HASHES[0], owner=True)
    claims.mirror(FIRST, "early", HASHES[1], "evil")
    wait_for_priority(agent, after.rpartition("/")[0], 1000)
    api.run(claims.mirror(claims.team, "after-node-1", HASHES[1], "web"), {"app": APP})
    wait_for_priority(agent, after, 900)

    assert {900} == set(agent.priorities(before))
    assert 900 == min(agent.priorities(after.rpartition("/")[0]))
    assert {(claims.team, "before-node-1"), (claims.team, "after-node-1")} == set(map(claims.victim, (before, after)))


def test_a_pod_that_is_deleted_by_force_keeps_its_priority(agent: RunningAgent, api: Api, claims: Claims) -> None:
    """The pod's processes run until the end of the grace period. A tenant that names the uid changes nothing."""
    pod = api.pod(FIRST, "evil", node=agent.node, labels={"app": "evil"}, requests=REQUESTS)
    container = agent.run(pod, APP)
    api.run(pod, {"app": APP})
    wait_for_priority(agent, container, 10)
    api.delete("Pod", "evil", FIRST)
    # The other pod is the agent's own.
    eventually(lambda: agent.metric("pods"), lambda pods: pods == 1)
    agent.end()
    assert {10} == set(agent.priorities(container))
    agent.forget_map()
    agent.start()
    wait_for_priority(agent, container, 10)
    claims.mirror(LAST, "evil", pod["metadata"]["uid"], "web")
    eventually(lambda: agent.metric("claims_refused"), lambda refused: refused == 1)

    assert {10} == set(agent.priorities(container)) == set(agent.priorities(agent.cgroup_of(pod)))
    assert (FIRST, "evil") == claims.victim(container)

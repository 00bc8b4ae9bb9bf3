# SPDX-License-Identifier: Apache-2.0
"""Nobody takes over the cgroup of another pod: not by naming its uid, and not while its object is gone."""

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
    """Pods of `app: web` have 900 and those of a tenant 10, also those of the class that a policy has to name."""
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
    """What the owner of a pod sees of it, and what a tenant tries."""

    def __init__(self, agent: RunningAgent, api: Api, team: str) -> None:
        self.agent, self.api, self.team = agent, api, team
        self._tgid = 100

    def mirror(self, namespace: str, name: str, uid: str, label: str, *, owner: bool = True) -> dict[str, Any]:
        """A mirror pod; with the `owner` as the kubelet makes it, which everybody may write too."""
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
        """Claim a cgroup, and wait for the refusal."""
        self.mirror(namespace, name, uid, "evil", owner=owner)
        eventually(
            lambda: [each for each in self.api.list("Event", namespace) if each["regarding"]["name"] == name],
            lambda events: any(f"annotation {MIRROR}: {uid!r} is refused" in each["note"] for each in events),
        )

    def victim(self, path: str) -> tuple[str, str]:
        """Namespace and name of the pod that an Event names when a process of this cgroup is killed."""
        self._tgid += 1
        self.agent.oom_kill(path, self._tgid)
        (event,) = eventually(
            lambda: [each for each in self.api.list("Event") if f"(pid {self._tgid}," in each["note"]], bool
        )
        return event["regarding"]["namespace"], event["regarding"]["name"]


def reaches(agent: RunningAgent, path: str, priority: int) -> None:
    eventually(lambda: agent.priority(path), lambda found: found == priority, deadline=60)


def test_a_pod_keeps_its_cgroup_whoever_names_its_uid(agent: RunningAgent, api: Api, claims: Claims) -> None:
    """In namespaces that sort before and after; each forged pod gets an Event, and victims keep their pod's name."""
    pod = api.pod(claims.team, "web-0", node=agent.node, labels={"app": "web"}, requests=REQUESTS)
    container = agent.run(pod, APP)
    api.run(pod, {"app": APP})
    reaches(agent, container, 900)
    for namespace in (FIRST, LAST):
        for owner in (False, True):
            claims.forge(namespace, f"x-{owner}".lower(), pod["metadata"]["uid"], owner=owner)

    assert (claims.team, "web-0") == claims.victim(container)
    assert {900} == set(agent.priorities(container)) == set(agent.priorities(agent.cgroup_of(pod)))
    assert 4 == agent.metric("claims_refused")


def test_a_static_pod_keeps_its_cgroup_whoever_names_its_hash(agent: RunningAgent, api: Api, claims: Claims) -> None:
    """Its mirror pod comes before the forged ones, or after; the forged one that is first lowers nothing."""
    before, after = (agent.run({"metadata": {"uid": uid}}, APP) for uid in HASHES)
    api.run(claims.mirror(claims.team, "before-node-1", HASHES[0], "web"), {"app": APP})
    reaches(agent, before, 900)
    claims.forge(FIRST, "bare", HASHES[0], owner=False)
    claims.forge(LAST, "owned", HASHES[0], owner=True)
    claims.mirror(FIRST, "early", HASHES[1], "evil")
    reaches(agent, after.rpartition("/")[0], 1000)
    api.run(claims.mirror(claims.team, "after-node-1", HASHES[1], "web"), {"app": APP})
    reaches(agent, after, 900)

    assert {900} == set(agent.priorities(before))
    assert 900 == min(agent.priorities(after.rpartition("/")[0]))
    assert {(claims.team, "before-node-1"), (claims.team, "after-node-1")} == set(map(claims.victim, (before, after)))


def test_a_pod_that_is_deleted_by_force_keeps_its_priority(agent: RunningAgent, api: Api, claims: Claims) -> None:
    """Its processes run on, as the kubelet waits out the grace period; a tenant that names its uid gets nothing."""
    pod = api.pod(FIRST, "evil", node=agent.node, labels={"app": "evil"}, requests=REQUESTS)
    container = agent.run(pod, APP)
    api.run(pod, {"app": APP})
    reaches(agent, container, 10)
    api.delete("Pod", "evil", FIRST)
    # The agent's own pod is the other one.
    eventually(lambda: agent.metric("pods"), lambda pods: pods == 1)
    agent.end()
    assert {10} == set(agent.priorities(container))
    agent.forget_map()
    agent.start()
    reaches(agent, container, 10)
    claims.mirror(LAST, "evil", pod["metadata"]["uid"], "web")
    eventually(lambda: agent.metric("claims_refused"), lambda refused: refused == 1)

    assert {10} == set(agent.priorities(container)) == set(agent.priorities(agent.cgroup_of(pod)))
    assert (FIRST, "evil") == claims.victim(container)

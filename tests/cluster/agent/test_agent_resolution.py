# SPDX-License-Identifier: Apache-2.0
"""What the API server says reaches the map, and the OOMNode says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.cluster.waiting import eventually

if TYPE_CHECKING:
    from tests.cluster.agent.running import RunningAgent
    from tests.cluster.api import Api


def policy(name: str, value: int, **spec: Any) -> dict[str, Any]:  # noqa: ANN401
    return {
        "apiVersion": "oompolicy.dev/v1alpha1",
        "kind": "OOMPolicy",
        "metadata": {"name": name},
        "spec": {"priority": {"value": value}, "match": {"podSelector": {"matchLabels": {"app": "web"}}}, **spec},
    }


def test_a_policy_reaches_the_map_and_the_node_says_so(agent: RunningAgent, api: Api, team: str) -> None:
    """Policy, namespace and pod from the API server; the status is the agent's own."""
    api.create(policy("web", 300))
    pod = api.pod(team, "web-0", node=agent.node, labels={"app": "web"}, requests={"memory": "1Mi"})
    path = agent.run(pod)
    agent.start()
    agent.wait_ready()

    assert 300 == agent.priority(path)
    status = eventually(agent.status, bool)
    assert ("Enforce", "EvaluateTask", "Kernel") == (status["mode"], status["backend"], status["hook"])
    # The other one is the agent's own, which has no cgroup here.
    assert (2, 1) == (status["counts"]["pods"], status["counts"]["podsMapped"])
    assert {"Ready": "True", "Enforcing": "True", "Synced": "True"} == {
        each["type"]: each["status"] for each in status["conditions"]
    }

# SPDX-License-Identifier: Apache-2.0
"""The priorities of OOMSettings are in the kernel within a second, and stay there without an API server."""

from __future__ import annotations

import time
from functools import partial
from operator import eq
from typing import TYPE_CHECKING

from tests.cluster.agent.running import SLICE
from tests.cluster.agent.test_agent_modes import WITHIN
from tests.cluster.waiting import eventually
from tests.unit.policy.factories import raw_settings

if TYPE_CHECKING:
    from tests.cluster.agent.running import RunningAgent
    from tests.cluster.api import Api
    from tests.cluster.cluster import Cluster


def wait_for(agent: RunningAgent, path: str, burstable: int) -> None:
    for place in (SLICE, path):
        eventually(partial(agent.priority, place), partial(eq, burstable))


def run_pod(agent: RunningAgent, api: Api, team: str) -> str:
    """Run a pod without a policy, and return the cgroup of its container."""
    pod = api.pod(team, "web-0", node=agent.node, requests={"memory": "1Mi"})
    api.run(pod, {"app": "ab" * 32})
    return agent.run(pod, "ab" * 32)


def test_a_change_is_in_the_kernel_within_a_second(agent: RunningAgent, api: Api, team: str) -> None:
    """Pods without a policy have the new default, and processes outside of pods the new priority."""
    path = run_pod(agent, api, team)
    api.create(raw_settings({"mode": "Audit"}))
    agent.start()
    agent.wait_ready()
    wait_for(agent, path, 500)
    assert 1000 == agent.host_priority

    api.patch("OOMSettings", "cluster", {"spec": {"hostPriority": 900, "defaults": {"burstable": 600}}})
    begin = time.monotonic()
    eventually(lambda: agent.host_priority, partial(eq, 900))
    wait_for(agent, path, 600)
    assert time.monotonic() - begin < WITHIN


def test_the_priorities_outlive_settings_agent_and_api_server(
    agent: RunningAgent, api: Api, cluster: Cluster, team: str
) -> None:
    """A deleted OOMSettings changes nothing, and neither does a restart without an API server."""
    path = run_pod(agent, api, team)
    api.create(raw_settings({"mode": "Audit", "hostPriority": 900, "defaults": {"burstable": 600}}))
    agent.start()
    agent.wait_ready()
    wait_for(agent, path, 600)
    api.delete("OOMSettings", "cluster")
    agent.end()
    cluster.stop_api()
    agent.forget_map()
    agent.start()
    wait_for(agent, path, 600)
    eventually(lambda: agent.local_condition("Ready")["reason"], partial(eq, "NotSynced"))

    cluster.start_api()
    agent.wait_ready()
    assert 900 == agent.host_priority
    assert [[600], [600]] == [agent.priorities(place) for place in (SLICE, path)]

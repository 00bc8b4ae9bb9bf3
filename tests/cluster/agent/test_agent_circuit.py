# SPDX-License-Identifier: Apache-2.0
"""After too many kills by policies, the agent audits, and reports it on the OOMNode and on the Node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oompolicy_agent.kernel.layout import KernelMode
from tests.cluster.agent.objects import policy
from tests.cluster.waiting import eventually
from tests.unit.policy.factories import raw_settings

if TYPE_CHECKING:
    from tests.cluster.agent.running import RunningAgent
    from tests.cluster.api import Api
    from tests.cluster.kubectl import Kubectl

LIMIT = 3
POSTED = 'events_total{outcome="posted",reason="OOMPolicyCircuitOpen"}'


def opened(api: Api) -> list[dict[str, Any]]:
    return [each for each in api.list("Event", "default") if each["reason"] == "OOMPolicyCircuitOpen"]


def test_too_many_kills_open_the_circuit_until_the_limit_changes(
    agent: RunningAgent, api: Api, team: str, kubectl: Kubectl
) -> None:
    """There is one Event on the Node, also after a restart of the agent, which keeps the circuit open."""
    api.create(raw_settings({"mode": "Enforce", "maxKillsPerMinute": LIMIT}))
    api.create(policy("web", 300))
    pod = api.pod(team, "web-0", node=agent.node, labels={"app": "web"}, requests={"memory": "1Mi"})
    api.run(pod, {"app": "ab" * 32})
    path = agent.run(pod, "ab" * 32)
    agent.start()
    agent.wait_ready()
    eventually(lambda: agent.condition("CircuitOpen").get("reason"), lambda found: found == "WithinLimit")
    for number in range(LIMIT + 1):
        agent.oom_kill(path, 100 + number)

    eventually(lambda: agent.program_mode, lambda found: found is KernelMode.AUDIT)
    eventually(lambda: agent.condition("CircuitOpen").get("reason"), lambda found: found == "TooManyKills")
    assert ("Audit", "TooManyKills") == (agent.status()["mode"], agent.condition("Enforcing")["reason"])
    assert 1.0 == agent.metric("circuit_open")
    (event,) = eventually(lambda: opened(api), bool)
    assert ("Node", agent.node) == (event["regarding"]["kind"], event["regarding"]["name"])
    assert f"the policies chose more than {LIMIT} victims within a minute" in event["note"]
    assert "OOMPolicyCircuitOpen" in kubectl("describe", "node", agent.node)

    agent.end()
    agent.start()
    agent.wait_ready()
    eventually(lambda: agent.metric("circuit_open"), lambda found: found == 1.0)
    eventually(lambda: agent.metric(POSTED), lambda found: found == 1.0)
    assert KernelMode.AUDIT is agent.program_mode
    assert [event["metadata"]["uid"]] == [each["metadata"]["uid"] for each in opened(api)]

    api.patch("OOMSettings", "cluster", {"spec": {"maxKillsPerMinute": LIMIT + 1}})
    eventually(lambda: agent.program_mode, lambda found: found is KernelMode.ENFORCE)
    eventually(lambda: agent.condition("CircuitOpen").get("reason"), lambda found: found == "WithinLimit")

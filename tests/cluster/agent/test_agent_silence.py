# SPDX-License-Identifier: Apache-2.0
"""A node with a silent agent is never shown as enforcing, and an agent that comes back is shown at once."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from oompolicy_agent.objects.checkpoint import boot_id
from tests.cluster.agent.conftest import NODE
from tests.cluster.agent.objects import policy
from tests.cluster.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster.agent.running import RunningAgent
    from tests.cluster.api import Api
    from tests.cluster.kubectl import Kubectl
    from tests.cluster.operators import Operator

SILENT_AFTER = 8
HURRIED = {"status_every": 2.0, "full_check": 0.5}
"""Settings of the agent. Their proportion to SILENT_AFTER is at least that of the defaults."""

Statuses = set[tuple[str, str]]

GOOD: Statuses = {("True", "Ready"), ("True", "Attached"), ("True", "PodsNotMapped"), ("Unknown", "NotProved")}
"""Only the agent's own pod is there, and it has no cgroup. No loader has run, so there is no proof."""


@pytest.fixture
def hurried_operator(start_operator: Callable[..., Operator]) -> Operator:
    """Return an operator for which an agent is silent after some seconds."""
    made = start_operator("operator", "--silent-after", str(SILENT_AFTER))
    made.until_leading()
    return made


@pytest.fixture
def patient_operator(operator: Operator) -> Operator:
    """Return an operator with the default, for which no agent is silent during a test."""
    return operator


def start(agent: RunningAgent, api: Api) -> None:
    """Start the agent, and wait for its report."""
    api.patch("Node", NODE, {"status": {"nodeInfo": {"bootID": boot_id()}}}, subresource="/status")
    agent.start(**HURRIED)
    wait_for_statuses(agent, GOOD)


def statuses(agent: RunningAgent) -> Statuses:
    """Return the status and reason of each condition."""
    return {(each["status"], each["reason"]) for each in agent.status().get("conditions", ())}


def wait_for_statuses(agent: RunningAgent, wanted: Statuses) -> None:
    eventually(lambda: statuses(agent), lambda found: found == wanted, deadline=60)


def nodes(operator: Operator) -> tuple[float | None, ...]:
    """Return the number of nodes that enforce, of those that are unknown, and of those that are silent."""
    backends = (operator.metric("oompolicy_nodes", backend=name) for name in ("EvaluateTask", "Unknown"))
    return (*backends, operator.metric("oompolicy_nodes_silent"))


def applied(api: Api) -> int | None:
    status: dict[str, Any] = api.get("OOMPolicy", "p").get("status") or {}
    return status.get("appliedNodes")


def enforcing_column(kubectl: Kubectl) -> str:
    """Return the column ENFORCING of `kubectl get oomnodes`."""
    header, row = (line.split() for line in kubectl("get", "oomnodes").splitlines())
    return row[header.index("ENFORCING")]


def test_an_agent_that_is_killed_is_silent(
    agent: RunningAgent, hurried_operator: Operator, api: Api, kubectl: Kubectl
) -> None:
    """The node counts for no policy then. The agent that comes back reports at once, and the node counts again."""
    api.create(policy("p", 900))
    start(agent, api)
    assert "True" == enforcing_column(kubectl)
    eventually(lambda: nodes(hurried_operator), lambda found: found == (1, 0, 0))
    heartbeat = agent.status()["lastHeartbeatTime"]
    agent.kill()
    killed = time.monotonic()
    wait_for_statuses(agent, {("Unknown", "AgentSilent")})
    took = time.monotonic() - killed
    print(kubectl("get", "oomnodes"), agent.condition("Enforcing")["message"], sep="\n")

    assert took > SILENT_AFTER - 2 * HURRIED["status_every"]
    assert "Unknown" == enforcing_column(kubectl)
    message = agent.condition("Enforcing")["message"]
    assert f"silent since {agent.status()['lastHeartbeatTime']}" in message
    assert agent.status()["lastHeartbeatTime"] >= heartbeat
    assert (
        f"kubectl --namespace oompolicy-system get pods --output wide --field-selector spec.nodeName={NODE}" in message
    )
    eventually(lambda: nodes(hurried_operator), lambda found: found == (0, 1, 1))

    start(agent, api)
    eventually(lambda: nodes(hurried_operator), lambda found: found == (1, 0, 0))
    assert "True" == enforcing_column(kubectl)


@pytest.mark.usefixtures("patient_operator")
def test_a_silent_node_applies_no_policy(agent: RunningAgent, api: Api) -> None:
    """The count in the status of a policy follows."""
    start(agent, api)
    api.create(policy("p", 900))
    eventually(lambda: applied(api), lambda found: found == 1)
    agent.kill()
    boot(api, "another")
    wait_for_statuses(agent, {("Unknown", "NodeRebooted")})

    eventually(lambda: applied(api), lambda found: found == 0, deadline=90)


def boot(api: Api, boot: str) -> None:
    """Report a boot, as a kubelet does."""
    api.patch("Node", NODE, {"status": {"nodeInfo": {"bootID": boot}}}, subresource="/status")


@pytest.mark.usefixtures("patient_operator")
def test_conditions_become_unknown_if_a_node_reboots_without_its_agent(
    agent: RunningAgent, api: Api, kubectl: Kubectl
) -> None:
    """The operator does not wait for the time of silence. The message says that a reboot removes the programs."""
    start(agent, api)
    agent.kill()
    boot(api, "another")
    wait_for_statuses(agent, {("Unknown", "NodeRebooted")})
    assert "A reboot removes programs and priorities from the kernel" in agent.condition("Ready")["message"]
    assert "Unknown" == enforcing_column(kubectl)

    start(agent, api)


@pytest.mark.usefixtures("patient_operator")
def test_a_kubelet_that_reports_a_boot_after_the_agent_changes_nothing(agent: RunningAgent, api: Api) -> None:
    """The agent reports for the newer boot."""
    boot(api, "before")
    agent.start(**HURRIED)
    wait_for_statuses(agent, GOOD)
    first = agent.status()["lastHeartbeatTime"]
    boot(api, boot_id())
    eventually(lambda: agent.status()["lastHeartbeatTime"], lambda found: found > first)

    assert GOOD == statuses(agent)


def test_a_living_agent_is_never_silent(agent: RunningAgent, hurried_operator: Operator, api: Api) -> None:
    """The node has no change for longer than the time of silence, and still counts as enforcing."""
    start(agent, api)
    end = time.monotonic() + 1.5 * SILENT_AFTER
    while time.monotonic() < end:
        assert GOOD == statuses(agent)
        time.sleep(0.2)

    assert (1, 0, 0) == nodes(hurried_operator)


@pytest.mark.parametrize("times", [("2400-01-01T00:00:{:02}Z", 1), ("1970-01-01T00:00:{:02}Z", -1)])
def test_a_wrong_clock_of_a_node_has_no_effect(api: Api, hurried_operator: Operator, times: tuple[str, int]) -> None:
    """A wrong clock neither turns a living agent silent, nor hides a dead agent."""
    api.node("n1")
    eventually(lambda: api.list("OOMNode"), bool)
    claim = {"type": "Enforcing", "status": "True", "reason": "Attached", "message": "m"}
    text, step = times
    end, number = time.monotonic() + 1.5 * SILENT_AFTER, 30
    while time.monotonic() < end:
        number += step
        status = {"lastHeartbeatTime": text.format(number), "bootID": "b"}
        dated = {**claim, "lastTransitionTime": text.format(30)}
        api.patch("OOMNode", "n1", {"status": {**status, "conditions": [dated]}}, subresource="/status")
        time.sleep(1)
        assert "True" == condition_of(api, "n1")

    eventually(lambda: condition_of(api, "n1"), lambda found: found == "Unknown", deadline=3 * SILENT_AFTER)
    eventually(lambda: hurried_operator.metric("oompolicy_nodes_silent"), lambda found: found == 1)


def condition_of(api: Api, node: str) -> str:
    (condition,) = api.get("OOMNode", node)["status"]["conditions"]
    return str(condition["status"])


def test_a_report_of_an_earlier_version_stays(api: Api, hurried_operator: Operator) -> None:
    """The report has no heartbeat, because an earlier agent writes nothing while nothing changes."""
    api.node("n1")
    eventually(lambda: api.list("OOMNode"), bool)
    claim = {"type": "Enforcing", "status": "True", "reason": "Attached", "message": "m"}
    dated = {**claim, "lastTransitionTime": "2026-11-28T05:00:00Z"}
    api.patch("OOMNode", "n1", {"status": {"backend": "EvaluateTask", "conditions": [dated]}}, subresource="/status")
    time.sleep(1.5 * SILENT_AFTER)

    assert "True" == condition_of(api, "n1")
    assert 0 == hurried_operator.metric("oompolicy_nodes_silent")


def test_a_silent_agent_stays_silent_for_the_next_operator(
    agent: RunningAgent, hurried_operator: Operator, start_operator: Callable[..., Operator], api: Api
) -> None:
    """The next operator reads the conditions in the OOMNode, and does not write them again."""
    start(agent, api)
    agent.kill()
    wait_for_statuses(agent, {("Unknown", "AgentSilent")})
    before = api.get("OOMNode", NODE)["metadata"]["resourceVersion"]
    hurried_operator.terminate()
    following = start_operator("following", "--silent-after", str(SILENT_AFTER))
    following.until_leading()
    eventually(lambda: nodes(following), lambda found: found == (None, 1, 1))
    time.sleep(1.5 * SILENT_AFTER)

    assert before == api.get("OOMNode", NODE)["metadata"]["resourceVersion"]
    assert (None, 1, 1) == nodes(following)


def test_an_agent_that_died_between_two_operators_becomes_silent(
    agent: RunningAgent, hurried_operator: Operator, start_operator: Callable[..., Operator], api: Api
) -> None:
    """The next operator measures from its first list."""
    start(agent, api)
    hurried_operator.terminate()
    agent.kill()
    started = time.monotonic()
    start_operator("following", "--silent-after", str(SILENT_AFTER)).until_leading()
    wait_for_statuses(agent, {("Unknown", "AgentSilent")})

    assert time.monotonic() - started > SILENT_AFTER - 1

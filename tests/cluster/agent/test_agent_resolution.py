# SPDX-License-Identifier: Apache-2.0
"""Changes at the API server reach the map, and the OOMNode reports the state."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.cluster.agent.objects import policy
from tests.cluster.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster.agent.running import RunningAgent
    from tests.cluster.api import Api


def wait_for_priority(agent: RunningAgent, path: str, priority: int) -> None:
    eventually(lambda: agent.priority(path), lambda found: found == priority)


def test_a_policy_reaches_the_map_and_the_oomnode_reports_it(agent: RunningAgent, api: Api, team: str) -> None:
    """The agent reads policy, namespace and pod from the API server, and writes the status."""
    api.create(policy("web", 300))
    pod = api.pod(team, "web-0", node=agent.node, labels={"app": "web"}, requests={"memory": "1Mi"})
    path = agent.run(pod)
    agent.start()
    agent.wait_ready()

    assert 300 == agent.priority(path)
    status = eventually(agent.status, bool)
    assert ("Enforce", "EvaluateTask", "Kernel") == (status["mode"], status["backend"], status["hook"])
    # The other pod is the agent's own, which has no cgroup here.
    assert (2, 1) == (status["counts"]["pods"], status["counts"]["podsMapped"])
    assert {"Ready": "True", "Enforcing": "True", "Synced": "True", "Proven": "Unknown"} == {
        each["type"]: each["status"] for each in status["conditions"]
    }


def test_each_change_reaches_the_map(agent: RunningAgent, api: Api, team: str) -> None:
    """Policies, labels and annotations change the entry. A pod without a policy has the default of its class."""
    pod = api.pod(team, "web-0", node=agent.node, labels={"app": "web"}, requests={"memory": "1Mi"})
    path = agent.run(pod)
    agent.start()
    wait_for_priority(agent, path, 500)
    api.create(policy("web", 300, override={"min": 300, "max": 700}))
    wait_for_priority(agent, path, 300)
    api.patch("OOMPolicy", "web", {"spec": {"priority": {"value": 310}}})
    wait_for_priority(agent, path, 310)
    patch_pod(api, team, annotations={"oompolicy.dev/priority": "650"})
    wait_for_priority(agent, path, 650)
    patch_pod(api, team, annotations={"oompolicy.dev/priority": None})
    wait_for_priority(agent, path, 310)
    patch_pod(api, team, labels={"app": "other"})
    wait_for_priority(agent, path, 500)
    api.create(policy("prod", 800, match={"namespaceSelector": {"matchLabels": {"tier": "prod"}}}))
    wait_for_priority(agent, path, 800)
    api.patch("Namespace", team, {"metadata": {"labels": {"tier": "test"}}})
    wait_for_priority(agent, path, 500)
    api.patch("Namespace", team, {"metadata": {"labels": {"tier": "prod"}}})
    wait_for_priority(agent, path, 800)
    api.delete("OOMPolicy", "prod")
    wait_for_priority(agent, path, 500)
    assert 8 <= (agent.metric("change_seconds_count") or 0)


def patch_pod(api: Api, team: str, **metadata: Any) -> None:  # noqa: ANN401
    api.patch("Pod", "web-0", {"metadata": metadata}, namespace=team)


def test_a_container_is_mapped_when_the_kubelet_reports_its_id(agent: RunningAgent, api: Api, team: str) -> None:
    """The id is in the pod's status. Until then the container has the priority of its pod."""
    api.create(policy("web", 300, containers=[{"name": "app", "offset": 50}]))
    pod = api.pod(team, "web-0", node=agent.node, labels={"app": "web"}, requests={"memory": "1Mi"})
    container = agent.run(pod, "ab" * 32)
    agent.start()
    agent.wait_ready()
    assert agent.priority(container) is None
    api.run(pod, {"app": "ab" * 32})

    wait_for_priority(agent, container, 350)


def test_an_agent_does_not_read_pods_of_other_nodes(agent: RunningAgent, api: Api, team: str) -> None:
    """The API server sends only the pods of the agent's own node."""
    api.node("node-2")
    api.pod(team, "elsewhere", node="node-2")
    agent.start()
    agent.wait_ready()

    # The only pod is the agent's own.
    eventually(lambda: agent.metric("pods"), lambda pods: pods == 1)


def test_an_agent_can_run_with_a_kubeconfig(agent: RunningAgent, api: Api, team: str) -> None:
    """A user can try the agent by hand with any user of a kubeconfig."""
    api.create(policy("web", 300))
    pod = api.pod(team, "web-0", node=agent.node, labels={"app": "web"}, requests={"memory": "1Mi"})
    path = agent.run(pod)
    agent.start("--kubeconfig", str(agent.cluster.admin))

    wait_for_priority(agent, path, 300)
    eventually(lambda: agent.condition("Ready").get("status"), lambda status: status == "True")


def test_an_oomnode_that_is_created_again_gets_its_status_again(agent: RunningAgent, api: Api) -> None:
    """The operator creates the OOMNode again if a node is deleted and comes back."""
    agent.start(status_every=1.0)
    eventually(agent.status, bool)
    api.delete("OOMNode", agent.node)
    api.create({"apiVersion": "oompolicy.dev/v1alpha1", "kind": "OOMNode", "metadata": {"name": agent.node}})

    eventually(agent.status, bool)


def test_the_oomnode_may_be_created_after_the_agent_starts(agent: RunningAgent, api: Api) -> None:
    """The agent is ready without an OOMNode, and reports that the operator has to create it."""
    api.delete("OOMNode", agent.node)
    agent.start()
    agent.wait_ready()
    eventually(
        agent.problems, lambda problems: f"there is no OOMNode {agent.node} yet: the operator creates it" in problems
    )
    api.create({"apiVersion": "oompolicy.dev/v1alpha1", "kind": "OOMNode", "metadata": {"name": agent.node}})

    eventually(lambda: agent.condition("Ready").get("status"), lambda status: status == "True")
    eventually(agent.problems, lambda problems: problems == [])


def test_a_node_without_pins_is_reported(agent: RunningAgent, api: Api, team: str) -> None:
    """The status and /readyz say that the node is not ready. The agent still resolves the policies."""
    api.create(policy("web", 300))
    api.pod(team, "web-0", node=agent.node, labels={"app": "web"})
    agent.detach()
    agent.start()
    status = eventually(agent.status, lambda status: bool(status.get("policyHash")))

    assert [
        ("Enforcing", "False", "NotAttached"),
        ("Proven", "Unknown", "NotProved"),
        ("Ready", "False", "PinsMissing"),
        ("Synced", "False", "PinsMissing"),
    ] == sorted((each["type"], each["status"], each["reason"]) for each in status["conditions"])
    code, text = agent.page("/readyz")
    assert 503 == code
    assert "the loader's pins are not there" in text


def test_an_agent_with_the_name_of_another_node_is_refused(agent: RunningAgent, api: Api) -> None:
    """The agent reads no pods and writes no status. Its reports have the messages of the API server."""
    api.node("node-2")
    api.create({"apiVersion": "oompolicy.dev/v1alpha1", "kind": "OOMNode", "metadata": {"name": "node-2"}})
    agent.node = "node-2"
    agent.start(status_first=0.0)
    expected = "the agent of node node-1 may not write the status of OOMNode node-2"
    eventually(agent.problems, lambda problems: any(expected in each for each in problems))

    waiting = "waiting for the first complete list of pods from the API server, there is no usable checkpoint; "
    waiting += "/api/v1/pods: 403 Forbidden"
    eventually(lambda: agent.page("/readyz"), lambda page: page[0] == 503 and waiting in page[1])
    assert {} == agent.status()


def test_an_unreachable_api_server_changes_no_priority(agent: RunningAgent, api: Api, team: str) -> None:
    """The agent stays ready, reports since when it has no reply, and then applies the changes of the meantime."""
    api.create(policy("web", 300))
    pod = api.pod(team, "web-0", node=agent.node, labels={"app": "web"}, requests={"memory": "1Mi"})
    path = agent.run(pod)
    agent.start(outage_after=0.5, full_check=1.0)
    # /readyz is a moment ahead of the file, which may still have NotSynced.
    eventually(lambda: agent.local_condition("Synced")["status"], lambda status: status == "True")
    agent.cluster.stop_api()
    synced = eventually(lambda: agent.local_condition("Synced"), lambda said: said["status"] == "False")

    assert "APIUnreachable" == synced["reason"]
    assert synced["message"].startswith("no reply from the API server since 20")
    assert (200, "ok\n") == agent.page("/readyz")
    assert 300 == agent.priority(path)
    agent.cluster.start_api()
    patch_pod(api, team, labels={"app": "other"})
    wait_for_priority(agent, path, 500)
    eventually(lambda: agent.local_condition("Synced")["status"], lambda status: status == "True")


def test_expired_watches_miss_no_change(agent: RunningAgent, api: Api, team: str) -> None:
    """The agent gets 410 Gone, and lists again. It applies a change and a deletion of the meantime."""
    api.create(policy("web", 300))
    pods = [
        api.pod(team, f"web-{n}", node=agent.node, labels={"app": "web"}, requests={"memory": "1Mi"}) for n in (0, 1)
    ]
    path = agent.run(pods[0])
    agent.start()
    agent.wait_ready()
    agent.cluster.stop_api()
    agent.cluster.expire_watches()
    api.delete("Pod", "web-1", team)
    api.patch("OOMPolicy", "web", {"spec": {"priority": {"value": 310}}})

    wait_for_priority(agent, path, 310)
    eventually(lambda: agent.metric("pods"), lambda pods: pods == 2)


def test_an_agent_reads_a_replaced_token(
    agent: RunningAgent, api: Api, team: str, new_token: Callable[[], None]
) -> None:
    """The kubelet replaces the token, and the agent uses the new one for watches and for writes."""
    pod = api.pod(team, "web-0", node=agent.node, labels={"app": "web"}, requests={"memory": "1Mi"})
    path = agent.run(pod)
    agent.start()
    agent.wait_ready()
    before = eventually(lambda: agent.status().get("policyHash"), bool)
    new_token()
    agent.cluster.restart_api()
    api.create(policy("web", 300))

    wait_for_priority(agent, path, 300)
    eventually(lambda: agent.status().get("policyHash"), lambda found: found != before)


def test_an_agent_may_start_before_the_api_server(agent: RunningAgent, api: Api, team: str) -> None:
    """The agent waits for the first lists, names them in /readyz, and begins as soon as it has them."""
    api.create(policy("web", 300))
    pod = api.pod(team, "web-0", node=agent.node, labels={"app": "web"}, requests={"memory": "1Mi"})
    path = agent.run(pod)
    agent.cluster.stop_api()
    agent.start()
    code, text = eventually(lambda: agent.page("/readyz"), lambda page: "Connection refused" in page[1])

    assert 503 == code
    assert "waiting for the first complete list of policies, namespaces, pods from the API server, " in text
    assert agent.priority(path) is None
    agent.cluster.start_api()
    agent.wait_ready()
    assert 300 == agent.priority(path)


def test_without_an_api_server_the_checkpoint_is_enforced(agent: RunningAgent, api: Api, team: str) -> None:
    """An agent that starts without the API server enforces the last known state, and reports that."""
    api.create(policy("web", 300))
    pod = api.pod(team, "web-0", node=agent.node, labels={"app": "web"}, requests={"memory": "1Mi"})
    path = agent.run(pod)
    agent.start()
    agent.wait_ready()
    agent.end()
    agent.forget_map()
    agent.cluster.stop_api()
    agent.start()
    wait_for_priority(agent, path, 300)

    eventually(lambda: agent.local_condition("Ready").get("reason"), lambda reason: reason == "NotSynced")
    eventually(lambda: agent.page("/readyz")[1], lambda text: "priorities from the checkpoint stay in force" in text)
    agent.cluster.start_api()
    agent.wait_ready()


def test_a_crash_loses_no_more_than_a_second(agent: RunningAgent, api: Api, team: str) -> None:
    """The checkpoint follows each change, so an agent that is killed also has one."""
    api.create(policy("web", 300))
    pod = api.pod(team, "web-0", node=agent.node, labels={"app": "web"}, requests={"memory": "1Mi"})
    path = agent.run(pod)
    agent.start()
    agent.wait_ready()
    eventually((agent.state / "checkpoint.json").exists, bool)
    eventually((agent.state / "checkpoint.json").read_text, lambda text: pod["metadata"]["uid"] in text)
    agent.kill()
    agent.forget_map()
    agent.cluster.stop_api()
    agent.start()

    wait_for_priority(agent, path, 300)


def test_the_agent_of_a_full_node_stays_small(agent: RunningAgent, api: Api, team: str) -> None:
    """An in-cluster agent with 110 pods of two containers, and /metrics, has less than 40 MiB of private memory."""
    api.create(policy("web", 300))
    for number in range(109):
        pod = api.pod(
            team,
            f"web-{number}",
            node=agent.node,
            labels={"app": "web", "tier": "prod", "pod-template-hash": "7d4b9c6f5"},
            annotations={"example/notes": "x" * 2_000},
            requests={"memory": "1Mi"},
            containers=("app", "side"),
        )
        ids = {"app": f"{number:064x}", "side": f"{number + 1_000:064x}"}
        agent.run(pod, *ids.values())
        api.run(pod, ids)
    agent.start()
    agent.wait_ready()
    eventually(agent.status, bool)

    eventually(lambda: agent.metric("pods"), lambda pods: pods == 110)
    assert agent.private_kib() < 40 * 1024

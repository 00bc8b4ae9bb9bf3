# SPDX-License-Identifier: Apache-2.0
"""What the API server says reaches the map, and the OOMNode says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.cluster.agent.objects import policy
from tests.cluster.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.cluster.agent.running import RunningAgent
    from tests.cluster.api import Api


def reaches(agent: RunningAgent, path: str, priority: int) -> None:
    eventually(lambda: agent.priority(path), lambda found: found == priority)


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


def test_whatever_changes_reaches_the_map(agent: RunningAgent, api: Api, team: str) -> None:
    """Policies, labels of pod and namespace, annotations; what no policy matches has its class's default."""
    pod = api.pod(team, "web-0", node=agent.node, labels={"app": "web"}, requests={"memory": "1Mi"})
    path = agent.run(pod)
    agent.start()
    reaches(agent, path, 500)
    api.create(policy("web", 300, override={"min": 300, "max": 700}))
    reaches(agent, path, 300)
    api.patch("OOMPolicy", "web", {"spec": {"priority": {"value": 310}}})
    reaches(agent, path, 310)
    patch_pod(api, team, annotations={"oompolicy.dev/priority": "650"})
    reaches(agent, path, 650)
    patch_pod(api, team, annotations={"oompolicy.dev/priority": None})
    reaches(agent, path, 310)
    patch_pod(api, team, labels={"app": "other"})
    reaches(agent, path, 500)
    api.create(policy("prod", 800, match={"namespaceSelector": {"matchLabels": {"tier": "prod"}}}))
    reaches(agent, path, 800)
    api.patch("Namespace", team, {"metadata": {"labels": {"tier": "test"}}})
    reaches(agent, path, 500)
    api.patch("Namespace", team, {"metadata": {"labels": {"tier": "prod"}}})
    reaches(agent, path, 800)
    api.delete("OOMPolicy", "prod")
    reaches(agent, path, 500)
    assert 8 <= (agent.metric("change_seconds_count") or 0)


def patch_pod(api: Api, team: str, **metadata: Any) -> None:  # noqa: ANN401
    api.patch("Pod", "web-0", {"metadata": metadata}, namespace=team)


def test_a_container_is_mapped_when_the_kubelet_names_it(agent: RunningAgent, api: Api, team: str) -> None:
    """Its id comes with the pod's status; until then it has its pod's priority."""
    api.create(policy("web", 300, containers=[{"name": "app", "offset": 50}]))
    pod = api.pod(team, "web-0", node=agent.node, labels={"app": "web"}, requests={"memory": "1Mi"})
    container = agent.run(pod, "ab" * 32)
    agent.start()
    agent.wait_ready()
    assert agent.priority(container) is None
    api.run(pod, {"app": "ab" * 32})

    reaches(agent, container, 350)


def test_pods_of_other_nodes_are_none_of_its_business(agent: RunningAgent, api: Api, team: str) -> None:
    """It does not even see them: the API server answers for its own node only."""
    api.node("node-2")
    api.pod(team, "elsewhere", node="node-2")
    agent.start()
    agent.wait_ready()

    # Its own pod is the only one.
    eventually(lambda: agent.metric("pods"), lambda pods: pods == 1)


def test_a_kubeconfig_will_do(agent: RunningAgent, api: Api, team: str) -> None:
    """For trying it by hand, as whoever that is."""
    api.create(policy("web", 300))
    pod = api.pod(team, "web-0", node=agent.node, labels={"app": "web"}, requests={"memory": "1Mi"})
    path = agent.run(pod)
    agent.start("--kubeconfig", str(agent.cluster.admin))

    reaches(agent, path, 300)
    eventually(lambda: agent.condition("Ready").get("status"), lambda status: status == "True")


def test_an_oomnode_that_was_made_anew_is_filled_again(agent: RunningAgent, api: Api) -> None:
    """As the operator does for a node that was deleted and came back."""
    agent.start(status_every=1.0)
    eventually(agent.status, bool)
    api.delete("OOMNode", agent.node)
    api.create({"apiVersion": "oompolicy.dev/v1alpha1", "kind": "OOMNode", "metadata": {"name": agent.node}})

    eventually(agent.status, bool)


def test_the_oomnode_may_come_later(agent: RunningAgent, api: Api) -> None:
    """The operator makes it; meanwhile the node works, and says what it waits for."""
    api.delete("OOMNode", agent.node)
    agent.start()
    agent.wait_ready()
    eventually(
        agent.problems, lambda problems: f"there is no OOMNode {agent.node} yet: the operator creates it" in problems
    )
    api.create({"apiVersion": "oompolicy.dev/v1alpha1", "kind": "OOMNode", "metadata": {"name": agent.node}})

    eventually(lambda: agent.condition("Ready").get("status"), lambda status: status == "True")
    eventually(agent.problems, lambda problems: problems == [])


def test_a_node_without_pins_says_so(agent: RunningAgent, api: Api, team: str) -> None:
    """Not ready and not enforcing, in its status and in /readyz; the policies are resolved all the same."""
    api.create(policy("web", 300))
    api.pod(team, "web-0", node=agent.node, labels={"app": "web"})
    agent.detach()
    agent.start()
    status = eventually(agent.status, lambda status: bool(status.get("policyHash")))

    assert [
        ("Enforcing", "False", "NotAttached"),
        ("Ready", "False", "PinsMissing"),
        ("Synced", "False", "PinsMissing"),
    ] == sorted((each["type"], each["status"], each["reason"]) for each in status["conditions"])
    code, text = agent.page("/readyz")
    assert 503 == code
    assert "the loader's pins are not there" in text


def test_another_nodes_objects_are_refused(agent: RunningAgent, api: Api) -> None:
    """An agent that says it is another node sees no pods and writes no status; the sentences say who forbids it."""
    api.node("node-2")
    api.create({"apiVersion": "oompolicy.dev/v1alpha1", "kind": "OOMNode", "metadata": {"name": "node-2"}})
    agent.node = "node-2"
    agent.start(status_first=0.0)
    expected = "the agent of node node-1 may not write the status of OOMNode node-2"
    eventually(agent.problems, lambda problems: any(expected in each for each in problems))

    silent = "waiting for the first complete list of pods from the API server, there is no usable checkpoint; "
    silent += "/api/v1/pods: 403 Forbidden"
    eventually(lambda: agent.page("/readyz"), lambda page: page[0] == 503 and silent in page[1])
    assert {} == agent.status()


def test_a_silent_api_server_changes_nothing(agent: RunningAgent, api: Api, team: str) -> None:
    """The last state holds, the node stays ready; it says since when it is deaf, and catches up when it is not."""
    api.create(policy("web", 300))
    pod = api.pod(team, "web-0", node=agent.node, labels={"app": "web"}, requests={"memory": "1Mi"})
    path = agent.run(pod)
    agent.start(outage_after=0.5, full_check=1.0)
    # /readyz is a moment ahead of the file, in which NotSynced may still stand.
    eventually(lambda: agent.said("Synced")["status"], lambda status: status == "True")
    agent.cluster.stop_api()
    synced = eventually(lambda: agent.said("Synced"), lambda said: said["status"] == "False")

    assert "APIUnreachable" == synced["reason"]
    assert synced["message"].startswith("no reply from the API server since 20")
    assert (200, "ok\n") == agent.page("/readyz")
    assert 300 == agent.priority(path)
    agent.cluster.start_api()
    patch_pod(api, team, labels={"app": "other"})
    reaches(agent, path, 500)
    eventually(lambda: agent.said("Synced")["status"], lambda status: status == "True")


def test_expired_watches_are_begun_anew(agent: RunningAgent, api: Api, team: str) -> None:
    """410 Gone: what changed meanwhile is not missed, and neither is what went."""
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

    reaches(agent, path, 310)
    eventually(lambda: agent.metric("pods"), lambda pods: pods == 2)


def test_an_expired_token_is_read_anew(agent: RunningAgent, api: Api, team: str, new_token: Callable[[], None]) -> None:
    """The kubelet puts another one in its place; the agent goes on with that, for watches and for writes."""
    pod = api.pod(team, "web-0", node=agent.node, labels={"app": "web"}, requests={"memory": "1Mi"})
    path = agent.run(pod)
    agent.start()
    agent.wait_ready()
    before = eventually(lambda: agent.status().get("policyHash"), bool)
    new_token()
    agent.cluster.restart_api()
    api.create(policy("web", 300))

    reaches(agent, path, 300)
    eventually(lambda: agent.status().get("policyHash"), lambda found: found != before)


def test_an_agent_may_start_before_the_api_server(agent: RunningAgent, api: Api, team: str) -> None:
    """It waits, says for what, and begins as soon as there is one."""
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
    """A node that boots while the API server is away goes by what it last knew, and says so."""
    api.create(policy("web", 300))
    pod = api.pod(team, "web-0", node=agent.node, labels={"app": "web"}, requests={"memory": "1Mi"})
    path = agent.run(pod)
    agent.start()
    agent.wait_ready()
    agent.end()
    agent.forget_map()
    agent.cluster.stop_api()
    agent.start()
    reaches(agent, path, 300)

    eventually(lambda: agent.said("Ready").get("reason"), lambda reason: reason == "NotSynced")
    eventually(lambda: agent.page("/readyz")[1], lambda text: "priorities from the checkpoint stay in force" in text)
    agent.cluster.start_api()
    agent.wait_ready()


def test_a_crash_loses_no_more_than_a_second(agent: RunningAgent, api: Api, team: str) -> None:
    """The checkpoint follows what is known; nobody has to end in order."""
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

    reaches(agent, path, 300)


def test_a_whole_node_stays_small(agent: RunningAgent, api: Api, team: str) -> None:
    """110 pods with two containers each, followed in-cluster: below 40 MiB of private memory, /metrics served too."""
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

# SPDX-License-Identifier: Apache-2.0
"""Pods with odd content neither make the agent of their node big nor stop its work."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.cluster import objects
from tests.cluster.agent.objects import policy
from tests.cluster.agent.test_agent_events import killed
from tests.cluster.deep import create_deep
from tests.cluster.waiting import eventually

if TYPE_CHECKING:
    from tests.cluster.agent.running import RunningAgent
    from tests.cluster.api import Api
    from tests.cluster.conftest import Newer

PEAK_MIB = 64
"""Half of the chart's limit. An agent of a few pods peaks at about 45 MiB."""

PRIVATE_MIB = 40
"""The limit for the agent of a full node of ordinary pods."""


def peak_mib(agent: RunningAgent) -> int:
    """Return the largest memory of the agent so far."""
    assert agent.process
    lines = Path(f"/proc/{agent.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) // 1024


def fail(api: Api, pod: dict[str, Any], **status: Any) -> None:  # noqa: ANN401
    """Report a pod as failed, as its kubelet does when its processes are gone."""
    metadata = pod["metadata"]
    body = {"status": {"phase": "Failed", **status}}
    api.patch("Pod", metadata["name"], body, namespace=metadata["namespace"], subresource="/status")


def test_big_pods_cost_little_memory_at_the_start(agent: RunningAgent, api: Api, team: str) -> None:
    """A list of 40 pods with 1.3 MB each, which is more than the agent's memory limit, does not make it big."""
    for number in range(40):
        pod = objects.pod(team, f"job-{number}", node=agent.node)
        pod["spec"]["containers"][0]["env"] = [{"name": "BIG", "value": "x" * 1_300_000}]
        api.create(pod)
    agent.start()
    agent.wait_ready()

    eventually(lambda: agent.metric("pods"), lambda pods: pods == 41)
    print(f"peak {peak_mib(agent)} MiB")
    assert peak_mib(agent) < PEAK_MIB


def test_finished_pods_are_not_listed(agent: RunningAgent, api: Api, team: str) -> None:
    """A node may have thousands of finished pods for weeks. The checkpoint, with all pods of the agent, has none."""
    fail(api, api.pod(team, "job", node=agent.node))
    there = api.pod(team, "web", node=agent.node)
    agent.start()
    agent.wait_ready()
    checkpoint = eventually(
        lambda: (agent.state / "checkpoint.json").read_text() if (agent.state / "checkpoint.json").exists() else "",
        lambda text: there["metadata"]["uid"] in text,
    )

    assert '"job"' not in checkpoint


def test_a_victim_of_a_pod_that_failed_at_once_has_its_names(agent: RunningAgent, api: Api, team: str) -> None:
    """Only the last status of the pod has the container's id, because the kubelet reports about once a second."""
    pod = api.pod(team, "job", node=agent.node)
    path = agent.run(pod, "ab" * 32)
    agent.start()
    agent.wait_ready()
    eventually(lambda: agent.metric("pods"), lambda pods: pods == 2)
    fail(api, pod, containerStatuses=objects.running({"app": "ab" * 32})["containerStatuses"])
    eventually(lambda: agent.metric("pods"), lambda pods: pods == 1)
    agent.oom_kill(path, 4711)
    (event,) = eventually(lambda: killed(api, team), bool)

    assert ("job", "spec.containers{app}") == (event["regarding"]["name"], event["regarding"]["fieldPath"])


def test_thousands_of_refused_annotations_cost_little(agent: RunningAgent, api: Api, team: str) -> None:
    """Five pods have 13,000 each, the most that the API server accepts. The valid annotation beside them is obeyed."""
    api.create(policy("web", 300, override={"min": 300, "max": 700}))
    odd = {f"oompolicy.dev/a{number:x}": "" for number in range(13_000)}
    asked = {**odd, "oompolicy.dev/priority": "650"}
    pods = [api.pod(team, f"web-{n}", node=agent.node, labels={"app": "web"}, annotations=asked) for n in range(5)]
    path = agent.run(pods[-1])
    agent.start()
    eventually(lambda: agent.priority(path), lambda found: found == 650)
    eventually(agent.status, bool)

    eventually(lambda: agent.metric("annotations_refused"), lambda refused: refused == 65_000)
    print(f"peak {peak_mib(agent)} MiB")
    assert peak_mib(agent) < PEAK_MIB
    assert (agent.folder / "run/status.json").stat().st_size < 100_000


def test_a_pod_with_thousands_of_labels_costs_little_and_has_its_policy(
    agent: RunningAgent, api: Api, team: str
) -> None:
    """The agent keeps only the labels that a policy matches, and a policy that is created later matches too."""
    odd = {f"example.com/{'l' * 40}-{number}": "x" * 60 for number in range(9_000)}
    labels = {**odd, "app": "web", "tier": "prod"}
    pods = [api.pod(team, f"web-{number}", node=agent.node, labels=labels) for number in range(5)]
    path = agent.run(pods[-1])
    api.create(policy("web", 300))
    agent.start()
    eventually(lambda: agent.priority(path), lambda found: found == 300)
    later = policy("tier", 700, precedence=1)
    later["spec"]["match"] = {"podSelector": {"matchLabels": {"tier": "prod"}}}
    api.create(later)
    eventually(lambda: agent.priority(path), lambda found: found == 700)

    print(f"peak {peak_mib(agent)} MiB, then {agent.private_kib() // 1024} MiB")
    assert agent.private_kib() < PRIVATE_MIB * 1024


def test_a_newer_definition_drops_no_policy(agent: RunningAgent, api: Api, team: str, newer_definition: Newer) -> None:
    """The default is in all stored policies at once. The agent enforces them, reports the field, and can restart."""
    api.create(policy("web", 300))
    path = agent.run(api.pod(team, "web-0", node=agent.node, labels={"app": "web"}))
    agent.start(status_every=1.0)
    eventually(lambda: agent.priority(path), lambda found: found == 300)
    newer_definition()
    synced = eventually(lambda: agent.local_condition("Synced"), lambda said: said["reason"] == "UnknownFields")

    assert "OOMPolicy/web: spec.newField: unknown field" in synced["message"]
    assert "True" == synced["status"]
    eventually(lambda: agent.condition("Synced")["reason"], lambda reason: reason == "UnknownFields")
    assert [300] == agent.priorities(path)
    agent.end()
    agent.forget_map()
    agent.cluster.stop_api()
    agent.start()
    eventually(lambda: agent.priority(path), lambda found: found == 300)
    agent.cluster.start_api()


def test_a_pod_of_thousands_of_levels_hides_no_other_pod(agent: RunningAgent, api: Api, team: str) -> None:
    """Any user may create it. Its own priority and that of others follow the policies, also after a restart."""
    api.create(policy("web", 300))
    fields: dict[str, Any] = {"node": agent.node, "labels": {"app": "web"}, "requests": {"memory": "1Mi"}}
    agent.start()
    agent.wait_ready()
    create_deep(agent.cluster, objects.pod(team, "deep", **fields))
    paths = [agent.run(api.pod(team, "web-0", **fields)), agent.run(api.get("Pod", "deep", team))]
    eventually(lambda: [agent.priority(path) for path in paths], lambda found: found == [300, 300])
    agent.end()
    agent.forget_map()
    (agent.state / "checkpoint.json").unlink()
    api.patch("OOMPolicy", "web", {"spec": {"priority": {"value": 310}}})
    agent.start()

    eventually(lambda: [agent.priority(path) for path in paths], lambda found: found == [310, 310])
    assert "Traceback" not in agent.log.read_text()

# SPDX-License-Identifier: Apache-2.0
"""Each victim is reported once by an Event on its pod, even if the API server or the agent stops meanwhile."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from oompolicy_agent.kernel.layout import VictimFlag
from oompolicy_agent.victims.event import nanoseconds
from tests.cluster.agent.objects import policy
from tests.cluster.waiting import eventually
from tests.unit.policy.factories import raw_settings

if TYPE_CHECKING:
    from tests.cluster.agent.running import RunningAgent
    from tests.cluster.api import Api
    from tests.cluster.kubectl import Kubectl

MANY = 200


def killed(api: Api, team: str) -> list[dict[str, Any]]:
    return [each for each in api.list("Event", team) if each["reason"] == "OOMVictimKilled"]


def counted(events: list[dict[str, Any]]) -> int:
    """Return the number of victims that the Events report."""
    return sum(each.get("series", {}).get("count", 1) for each in events)


@pytest.fixture
def path(agent: RunningAgent, api: Api, team: str) -> str:
    """Run the pod web-0, which a policy matches, and return the cgroup of its container `app`."""
    api.create(policy("web", 300))
    pod = api.pod(team, "web-0", node=agent.node, labels={"app": "web"}, requests={"memory": "1Mi"})
    api.run(pod, {"app": "ab" * 32})
    return agent.run(pod, "ab" * 32)


def test_a_kill_becomes_an_event_on_its_pod(
    agent: RunningAgent, api: Api, team: str, path: str, kubectl: Kubectl
) -> None:
    """The Event has the container, the policy of the priority, and the time of the kill."""
    agent.start()
    agent.wait_ready()
    before = time.time_ns()
    agent.oom_kill(path, 4711)
    (event,) = eventually(lambda: killed(api, team), bool)
    (pod,) = api.list("Pod", team)
    (oomp,) = api.list("OOMPolicy")

    assert ("Warning", "Kill", "oompolicy.dev/agent", "node-1") == (
        event["type"], event["action"], event["reportingController"], event["reportingInstance"]
    )  # fmt: skip
    regarding, related = event["regarding"], event["related"]
    assert (pod["metadata"]["uid"], "spec.containers{app}") == (regarding["uid"], regarding["fieldPath"])
    assert ("OOMPolicy", "web", oomp["metadata"]["uid"]) == (related["kind"], related["name"], related["uid"])
    assert abs(nanoseconds(event["eventTime"]) - before) < 60 * 10**9
    assert "killed java (pid 4711, anon-rss 0 MiB) in container app of pod team-a/web-0" in event["note"]
    shown = kubectl("get", "events", "--namespace", team, "--field-selector", "reason=OOMVictimKilled")
    assert "pod/web-0" in shown
    assert ["java"] == [each["process"] for each in eventually(agent.last_victims, bool)]


@pytest.mark.parametrize("discloses", [False, True])
def test_an_event_names_a_pod_of_another_namespace_only_if_the_admin_allows_it(
    agent: RunningAgent, api: Api, team: str, path: str, discloses: bool
) -> None:
    """The log always names the pod, in a JSON object with the documented keys."""
    api.namespace("team-b", {})
    pod = api.pod("team-b", "db-0", node=agent.node)
    api.run(pod, {"app": "cd" * 32})
    ids = agent.cgroup_ids(agent.run(pod, "cd" * 32))
    flags = VictimFlag.SELECTED | VictimFlag.CHANGED | VictimFlag.SPARED_ENTRY
    spared = {"spared_tgid": 9, "spared_comm": b"psql", "spared_priority": 900, "spared_badness": 77}
    api.create(raw_settings({"mode": "Enforce", "discloseOtherNamespaces": discloses}))
    agent.start(log_format="json")
    agent.wait_ready()
    eventually(agent.written, lambda lines: any(line.startswith(f"{ids[-2]} ") for line in lines))
    agent.oom_kill(path, 4711, flags=flags, spared_cgroup_ids=ids, **spared)
    (event,) = eventually(lambda: killed(api, team), bool)
    line = next(each for each in map(json.loads, agent.log.read_text().splitlines()) if each.get("pid") == 4711)

    named = "spared: psql (pid 9) in container app of pod team-b/db-0, priority 900, badness 77"
    hidden = "spared: a process of a pod in another namespace, which would have been killed without the policy"
    assert (named in event["note"]) is discloses
    assert event["note"].endswith(hidden) is not discloses
    assert named in line["message"]
    assert ("team-a", "web-0", "app", "web", "Node") == tuple(
        line[key] for key in ("namespace", "pod", "container", "policy", "scope")
    )
    assert {"process": "psql", "pid": 9, "namespace": "team-b", "pod": "db-0", "container": "app"}.items() <= line[
        "spared"
    ].items()


def test_a_victim_of_the_host_becomes_an_event_on_the_node(agent: RunningAgent, api: Api) -> None:
    """Nodes have no namespace, so the Event is in `default`."""
    agent.make("system.slice/ssh.service")
    agent.start()
    agent.wait_ready()
    agent.oom_kill("system.slice/ssh.service", 4711)
    (event,) = eventually(lambda: killed(api, "default"), bool)

    assert ("Node", agent.node) == (event["regarding"]["kind"], event["regarding"]["name"])


def test_spooled_victims_are_reported(agent: RunningAgent, api: Api, team: str, path: str) -> None:
    """The next agent reports them once there is an API server, with the names from the checkpoint."""
    agent.start()
    agent.wait_ready()
    eventually((agent.state / "checkpoint.json").exists, bool)
    eventually((agent.state / "checkpoint.json").read_text, lambda text: "ab" * 32 in text)
    agent.kill()
    agent.cluster.stop_api()
    agent.spool(path, *range(1, 4))
    agent.start()
    eventually(agent.problems, lambda problems: any("Events wait for the API server" in each for each in problems))
    assert 3 == len(agent.spooled())
    agent.cluster.start_api()

    # Those that wait while the API server refuses the first one are counted in its series.
    events = eventually(lambda: killed(api, team), lambda events: counted(events) == 3, deadline=90)
    assert {"spec.containers{app}"} == {each["regarding"]["fieldPath"] for each in events}
    eventually(agent.spooled, lambda files: files == [])


def test_a_spooled_victim_has_its_names_before_the_pod_is_forgotten(
    agent: RunningAgent, api: Api, team: str, path: str
) -> None:
    """An agent that does not know the pod any more reports the victim with the name of the pod."""
    agent.start()
    agent.wait_ready()
    agent.cluster.stop_api()
    agent.oom_kill(path, 1)
    eventually(agent.problems, lambda problems: any("Events wait for the API server" in each for each in problems))
    agent.oom_kill(path, 2)
    eventually(agent.spooled, lambda files: len(files) == 2 and all(b'"report"' in file.read_bytes() for file in files))
    agent.kill()
    (agent.state / "checkpoint.json").unlink(missing_ok=True)
    agent.cluster.start_api()
    api.delete("Pod", "web-0", team)
    agent.start()

    events = eventually(lambda: killed(api, team), lambda events: counted(events) == 2, deadline=90)
    assert {"web-0"} == {each["regarding"]["name"] for each in events}


def test_a_flood_loses_no_victim(agent: RunningAgent, api: Api, team: str, path: str) -> None:
    """200 kills of one container are counted, although the API server stops for a while and the agent is killed."""
    agent.start(event_limits={"series_every": 1.0})
    agent.wait_ready()
    for tgid in range(1, MANY + 1):
        if tgid == 60:
            eventually(lambda: killed(api, team), bool)
            agent.cluster.stop_api()
        if tgid == 120:
            # A ring buffer keeps records until they are read, but the pipe is emptied at a kill of the agent.
            eventually(agent.log.read_text, lambda text: "(pid 119, " in text)
            agent.kill()
            agent.start(event_limits={"series_every": 1.0})
        if tgid == 160:
            agent.cluster.start_api()
        agent.oom_kill(path, tgid)
    eventually(lambda: counted(killed(api, team)), lambda count: count >= MANY, deadline=90)
    eventually(agent.spooled, lambda files: files == [])
    events = killed(api, team)

    assert MANY == counted(events)
    assert len(events) < MANY / 2
    assert "oompolicy_agent_spool_dropped_total 0.0" in agent.page("/metrics")[1]


def test_a_flood_of_many_pods_loses_no_victim(agent: RunningAgent, api: Api, team: str) -> None:
    """Each pod gets its own Event, as fast as the limit of the node allows."""
    api.create(policy("web", 300))
    for number in range(MANY):
        pod = api.pod(team, f"web-{number}", node=agent.node, labels={"app": "web"}, requests={"memory": "1Mi"})
        agent.run(pod)
    agent.start()
    agent.wait_ready()
    pods = api.list("Pod", team)
    agent.cluster.stop_api()
    for tgid, pod in enumerate(pods, start=1):
        agent.oom_kill(agent.cgroup_of(pod), tgid)
    agent.cluster.start_api()
    events = eventually(lambda: killed(api, team), lambda events: len(events) >= MANY, deadline=120)

    assert {pod["metadata"]["uid"] for pod in pods} == {each["regarding"]["uid"] for each in events}
    assert MANY == counted(events)


@pytest.mark.parametrize("gone", ["terminating", "absent"])
def test_an_event_is_given_up_if_its_namespace_is_gone(
    agent: RunningAgent, api: Api, team: str, path: str, gone: str
) -> None:
    """The API server cannot store the Event any more. The next Event does not wait for it."""
    agent.make("system.slice")
    agent.start()
    agent.wait_ready()
    api.delete("Pod", "web-0", team)
    api.delete("Namespace", team)
    if gone == "absent":
        api.connection.request("PUT", f"/api/v1/namespaces/{team}/finalize", body=finalized(team))
    agent.oom_kill(path, 1)
    agent.oom_kill("system.slice", 2)

    eventually(lambda: killed(api, "default"), bool)
    assert 1 == agent.metric('events_total{outcome="given_up",reason="OOMVictimKilled"}')
    eventually(agent.spooled, lambda files: files == [])


def finalized(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}, "spec": {}}


def test_events_of_another_node_are_refused_and_stay_spooled(agent: RunningAgent, api: Api) -> None:
    """The admission policy limits an agent to its own node. The Event stays spooled, and the agent reports that."""
    api.node("node-2")
    agent.node = "node-2"
    agent.make("system.slice")
    agent.start()
    eventually(lambda: agent.page("/livez")[0], lambda code: code == 200)
    agent.oom_kill("system.slice", 1)
    expected = "the API server refuses 1 Events, which stay spooled: 403 Forbidden"
    eventually(agent.problems, lambda problems: any(expected in each for each in problems))

    assert [] == killed(api, "default")
    assert 1 == len(agent.spooled())


# Refused annotations.


def refusals(api: Api, team: str) -> list[dict[str, Any]]:
    return [each for each in api.list("Event", team) if each["reason"] == "OOMAnnotationRefused"]


@pytest.mark.usefixtures("path")
def test_a_refused_annotation_is_reported_once_per_change(agent: RunningAgent, api: Api, team: str) -> None:
    """The Event is on the pod, and a restart does not repeat it, with or without a checkpoint."""
    annotate(api, team, "650")
    agent.start()
    (event,) = eventually(lambda: refusals(api, team), bool)
    expected = "annotation oompolicy.dev/priority: '650' is refused: "
    assert event["note"].startswith(expected)
    assert ("web-0", "Resolve") == (event["regarding"]["name"], event["action"])
    eventually((agent.state / "checkpoint.json").exists, bool)
    eventually((agent.state / "checkpoint.json").read_text, lambda text: event["metadata"]["name"] in text)
    agent.end()
    agent.start()
    agent.wait_ready()
    annotate(api, team, "660")
    eventually(lambda: len(refusals(api, team)), lambda count: count == 2)
    assert 1 == agent.metric('events_total{outcome="posted",reason="OOMAnnotationRefused"}')
    agent.end()
    (agent.state / "checkpoint.json").unlink()
    agent.start()
    eventually(lambda: agent.metric('events_total{outcome="posted",reason="OOMAnnotationRefused"}'), bool)

    assert 2 == len(refusals(api, team))
    versions = {each["metadata"]["name"]: each["metadata"]["resourceVersion"] for each in refusals(api, team)}
    assert event["metadata"]["resourceVersion"] == versions[event["metadata"]["name"]]


def annotate(api: Api, team: str, value: str) -> None:
    api.patch("Pod", "web-0", {"metadata": {"annotations": {"oompolicy.dev/priority": value}}}, namespace=team)

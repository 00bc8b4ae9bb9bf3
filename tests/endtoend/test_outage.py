# SPDX-License-Identifier: Apache-2.0
"""API server and operator are down: the node enforces the last known policies, and reports all kills later."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from tests.endtoend.scene import KILLED

if TYPE_CHECKING:
    from tests.endtoend.scene import Scene
    from tests.node.kubelet import Pod

KILLS = 200
DOWN = range(60, 140)
"""The kills of the storm while no API server runs."""


@pytest.fixture
def pods(scene: Scene) -> dict[str, Pod]:
    """Return a big pod with a high priority, and a small pod with a low one."""
    scene.namespace("team")
    for name, priority in (("high", 900), ("low", 100)):
        scene.policy(name, match={"podSelector": {"matchLabels": {"worth": name}}}, priority={"value": priority})
    found = {name: scene.pod("team", name, labels={"worth": name}) for name in ("high", "low")}
    scene.start(found["high"], 40)
    scene.start(found["low"], 10)
    scene.installation.await_priority(found["high"], 900)
    scene.installation.await_priority(found["low"], 100)
    return found


def test_enforcement_goes_on_without_api_server_and_operator(scene: Scene, pods: dict[str, Pod]) -> None:
    """The kernel kills the lower priority, and the Event follows when the API server runs again."""
    scene.installation.stop_operator()
    scene.installation.cluster.stop_api()
    assert "low" == scene.first_victim("exhaust_pods")

    scene.installation.cluster.start_api()
    assert scene.killed[0] == scene.event(pods["low"], KILLED).pid


def test_an_agent_that_starts_without_api_server_enforces_its_checkpoint(scene: Scene, pods: dict[str, Pod]) -> None:
    """The agent enforces the priorities of its checkpoint on disk, even if the map is empty."""
    installation = scene.installation
    installation.await_checkpoint(*pods.values())
    installation.stop_operator()
    installation.cluster.stop_api()
    scene.guest.order("kill_agent")
    assert scene.guest.order("forget_priorities")
    installation.launch_agent()

    installation.await_priority(pods["high"], 900, seconds=90)
    installation.await_priority(pods["low"], 100)
    assert "low" == scene.first_victim("exhaust_pods")
    installation.cluster.start_api()
    assert scene.killed[0] == scene.event(pods["low"], KILLED).pid


def test_each_kill_of_a_storm_is_reported_once_while_the_api_server_is_down(scene: Scene) -> None:
    """Each kill has its own Event, or an Event with a series counts it."""
    cluster = scene.installation.cluster
    scene.namespace("storm")
    pods = [scene.pod("storm", f"job-{number}") for number in range(5)]
    for pod in pods:
        scene.guest.order("limit", uid=pod.uid, container="app", mib=6)
    before, started = scene.guest.order("killed"), time.monotonic()
    for number in range(KILLS):
        if number == DOWN.start:
            cluster.stop_api()
        if number == DOWN.stop:
            cluster.start_api()
        pod = pods[number % len(pods)]
        scene.start(pod, 2)
        assert pod.name == scene.first_victim("overrun", uid=pod.uid, container="app", mib=8)
    killed = time.monotonic()
    events = scene.kills(seconds=90)

    reported = Counter(seen.pid for seen in events)
    print(
        f"storm: {KILLS} kills in {killed - started:.0f} s, all reported {time.monotonic() - killed:.0f} s later: "
        f"{len(events)} Events that stand for {sum(seen.count for seen in events)} kills"
    )
    assert scene.guest.order("killed") - before >= KILLS == len(set(scene.killed))
    assert KILLS == sum(seen.count for seen in events)
    assert {1} == set(reported.values())
    assert set(reported) <= set(scene.killed)

# SPDX-License-Identifier: Apache-2.0
"""API server and operator are away: the node goes on by what it last knew, and forgets nothing that it has to tell."""

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
AWAY = range(60, 140)
"""Kills of the storm during which there is no API server."""


@pytest.fixture
def pods(scene: Scene) -> dict[str, Pod]:
    """A big one that a policy holds dear, and a small one that it does not."""
    scene.namespace("team")
    for name, priority in (("dear", 900), ("cheap", 100)):
        scene.policy(name, match={"podSelector": {"matchLabels": {"worth": name}}}, priority={"value": priority})
    found = {name: scene.pod("team", name, labels={"worth": name}) for name in ("dear", "cheap")}
    scene.start(found["dear"], 40)
    scene.start(found["cheap"], 10)
    scene.installation.await_priority(found["dear"], 900)
    scene.installation.await_priority(found["cheap"], 100)
    return found


def test_enforcement_goes_on_without_api_server_and_operator(scene: Scene, pods: dict[str, Pod]) -> None:
    """And the Event comes when the API server is back."""
    scene.installation.stop_operator()
    scene.installation.cluster.stop_api()
    assert ["cheap"] == scene.exhaust("exhaust_pods")

    scene.installation.cluster.start_api()
    assert scene.killed == [scene.event(pods["cheap"], KILLED).pid]


def test_an_agent_that_starts_without_api_server_enforces_what_it_last_knew(scene: Scene, pods: dict[str, Pod]) -> None:
    """From its checkpoint on disk, even where the map is empty."""
    it = scene.installation
    it.await_checkpoint(*pods.values())
    it.stop_operator()
    it.cluster.stop_api()
    scene.guest.order("kill_agent")
    assert scene.guest.order("forget_priorities")
    it.launch_agent()

    it.await_priority(pods["dear"], 900, seconds=90)
    it.await_priority(pods["cheap"], 100)
    assert ["cheap"] == scene.exhaust("exhaust_pods")
    it.cluster.start_api()
    assert scene.killed == [scene.event(pods["cheap"], KILLED).pid]


def test_a_storm_with_the_api_server_away_loses_no_kill_and_tells_none_twice(scene: Scene) -> None:
    """Each kill has its Event, or is counted in the series of one."""
    cluster = scene.installation.cluster
    scene.namespace("storm")
    pods = [scene.pod("storm", f"job-{number}") for number in range(5)]
    for pod in pods:
        scene.guest.order("limit", uid=pod.uid, container="app", mib=6)
    before, started = scene.guest.order("killed"), time.monotonic()
    for number in range(KILLS):
        if number == AWAY.start:
            cluster.stop_api()
        if number == AWAY.stop:
            cluster.start_api()
        pod = pods[number % len(pods)]
        scene.start(pod, 2)
        assert [pod.name] == scene.exhaust("overrun", uid=pod.uid, container="app", mib=8)
    killed = time.monotonic()
    events = scene.kills(seconds=90)

    told = Counter(seen.pid for seen in events)
    print(
        f"storm: {KILLS} kills in {killed - started:.0f} s, all told {time.monotonic() - killed:.0f} s later: "
        f"{len(events)} Events that stand for {sum(seen.count for seen in events)} kills"
    )
    assert scene.guest.order("killed") - before >= KILLS == len(set(scene.killed))
    assert KILLS == sum(seen.count for seen in events)
    assert {1} == set(told.values())
    assert set(told) <= set(scene.killed)

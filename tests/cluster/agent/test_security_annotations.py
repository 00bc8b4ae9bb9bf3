# SPDX-License-Identifier: Apache-2.0
"""No annotation on a pod moves its priority out of the range that the admin's policy allows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cluster.agent.objects import policy
from tests.cluster.waiting import eventually

if TYPE_CHECKING:
    from tests.cluster.agent.running import RunningAgent
    from tests.cluster.api import Api

POD, CONTAINER = "oompolicy.dev/priority", "oompolicy.dev/container.app"
BEYOND = ("399", "601", "1000", "-1", "1001", "0400", "5e2", " 500", "high", "")
CONTAINER_ID = "ab" * 32


@pytest.fixture
def paths(agent: RunningAgent, api: Api, team: str) -> tuple[str, str]:
    """Run a pod with a policy that gives 500 and allows 400 to 600, and return the cgroups of pod and container."""
    api.create(policy("web", 500, override={"min": 400, "max": 600}))
    pod = api.pod(team, "web-0", node=agent.node, labels={"app": "web"}, requests={"memory": "1Mi"})
    api.run(pod, {"app": CONTAINER_ID})
    container = agent.run(pod, CONTAINER_ID)
    agent.start()
    eventually(lambda: agent.priority(container), lambda priority: priority == 500, deadline=60)
    return agent.cgroup_of(pod), container


def annotate(api: Api, team: str, annotations: dict[str, str]) -> None:
    api.patch("Pod", "web-0", {"metadata": {"annotations": annotations}}, namespace=team)


def wait_refused(api: Api, team: str, sentence: str) -> None:
    """Wait for an Event with this sentence in the namespace."""
    eventually(
        lambda: [each["note"] for each in api.list("Event", team)],
        lambda notes: any(sentence in note for note in notes),
    )


@pytest.mark.parametrize("annotation", [POD, CONTAINER])
def test_an_annotation_does_not_leave_the_policys_range(
    agent: RunningAgent, api: Api, team: str, paths: tuple[str, str], annotation: str
) -> None:
    """Each annotation outside of the range is refused with an Event, and never reaches the map."""
    for asked in BEYOND:
        annotate(api, team, {annotation: asked})
        wait_refused(api, team, f"{annotation}: {asked!r} is refused")
    annotate(api, team, {annotation: "600"})
    eventually(lambda: agent.priority(paths[1]), lambda priority: priority == 600)

    assert {500, 600} == set(agent.priorities(paths[1]))


def test_no_annotation_has_an_effect_without_an_override(
    agent: RunningAgent, api: Api, team: str, paths: tuple[str, str]
) -> None:
    """A policy without the field `override` allows no annotation."""
    api.patch("OOMPolicy", "web", {"spec": {"override": None}})
    annotate(api, team, {POD: "500", CONTAINER: "501"})
    wait_refused(api, team, f"{POD}: '500' is refused")
    wait_refused(api, team, f"{CONTAINER}: '501' is refused")

    assert {500} == {agent.priority(path) for path in paths}

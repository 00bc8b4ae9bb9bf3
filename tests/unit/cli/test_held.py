# SPDX-License-Identifier: Apache-2.0
"""The command `explain` shows the priorities that the node of a pod holds, and why they differ from the wanted ones."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click
import pytest

from oompolicy.cli.explain import described, explained
from oompolicy.order.facts import NodeFacts, Running
from tests.unit.policy.factories import UID, raw_pod, raw_policy

if TYPE_CHECKING:
    from collections.abc import Callable

    from oompolicy.cli.explanation import Explanation

NODE = "node-1"
RUNNING = Running("shop", "postgres-0", "app", 300, "policy", "db", "OOMPolicy db", 0, uid=UID, held=300)
FACTS = NodeFacts(NODE, "Enforce", "EvaluateTask", True, (RUNNING,), holding="Entries")


class Cluster:
    """A cluster with one pod and one policy. Its node has the status `enforcing`."""

    def __init__(self, *, node: str | None = NODE, enforcing: str = "True") -> None:
        self._pod = raw_pod(nodeName=node, containers=[{"name": "app"}, {"name": "proxy"}])
        condition = {"type": "Enforcing", "status": enforcing, "reason": "AgentSilent", "message": "silent for 11m"}
        self._oomnode = {"metadata": {"name": NODE}, "status": {"conditions": [condition]}}

    def get(self, path: str) -> dict[str, Any] | None:
        return self._pod if "/pods/" in path else None

    def objects(self, path: str, **_: object) -> list[dict[str, Any]]:
        return [raw_policy({"priority": {"value": 300}}, "db")] if path.endswith("/oompolicies") else []

    def allowed_objects(self, *_: object, **__: object) -> list[dict[str, Any]]:
        return [self._oomnode]

    def settings(self) -> list[dict[str, Any]]:
        return []


def found(facts: NodeFacts, **cluster: Any) -> Explanation:  # noqa: ANN401
    return asked(lambda _: facts, **cluster)


def asked(ask: Callable[[str], NodeFacts], **cluster: Any) -> Explanation:  # noqa: ANN401
    return explained(Cluster(**cluster), "shop", "postgres-0", ask)  # type: ignore[arg-type] # of this test


def shown(explanation: Explanation) -> list[str]:
    """Return the lines of the table of containers, and those below it, with single spaces."""
    text = described(explanation, datetime(2026, 11, 28, tzinfo=UTC), wide=False)
    return [" ".join(line.split()) for line in text.split("\n\n")[0].splitlines()[1:]]


def test_a_container_has_the_entry_of_the_map() -> None:
    """A container that does not run has none. The pod itself is not in the answer of the agent."""
    explanation = found(FACTS)
    data = explanation.plain()

    assert [
        "CONTAINER PRIORITY HELD REASON",
        "- 300 - OOMPolicy db (precedence 0): value 300",
        "app 300 300 OOMPolicy db (precedence 0): value 300",
        "proxy 300 - OOMPolicy db (precedence 0): value 300",
    ] == shown(explanation)
    assert [{"priority": 300, "score": None, "differs": None}, None] == [each["held"] for each in data["containers"]]
    assert ("Entries", None) == (data["heldIn"], data["heldProblem"])


@pytest.mark.parametrize(
    ("change", "cell", "why"),
    [
        ({"priority": 500, "held": 500}, "500", "the agent has not seen the change yet"),
        ({"priority": 300, "held": 500}, "500", "the agent has not written it into the map yet"),
        ({"priority": 300, "held": None}, "none", "the agent has not written it into the map yet"),
    ],
)
def test_a_difference_is_named_with_its_reason(change: dict[str, Any], cell: str, why: str) -> None:
    """The wanted priority is 300. The answer has the priority that the agent wants, and the one in the map."""
    explanation = found(replace(FACTS, containers=(replace(RUNNING, **change),)))
    lines = shown(explanation)

    assert f"app 300 {cell} (differs) OOMPolicy db (precedence 0): value 300" == lines[2]
    assert [f"app: held by the node: {cell} (differs, {why})"] == lines[4:]
    assert why == explanation.plain()["containers"][0]["held"]["differs"]


def test_a_node_with_scores_has_the_score_of_the_adjuster() -> None:
    """The priority is the one that the score stands for."""
    scored = replace(FACTS, backend="OOMScoreAdj", holding="Scores", held_problem="not all processes have their scores")
    rows = (replace(RUNNING, held_score=640), replace(RUNNING, container="proxy", held=500, held_score=-20))
    explanation = found(replace(scored, containers=rows))

    assert [
        "CONTAINER PRIORITY HELD SCORE REASON",
        "- 300 - - OOMPolicy db (precedence 0): value 300",
        "app 300 300 640 OOMPolicy db (precedence 0): value 300",
        "proxy 300 500 (differs) -20 OOMPolicy db (precedence 0): value 300",
        "proxy: held by the node: 500 (differs, the adjuster has not written its score yet)",
        "not all processes have their scores",
    ] == shown(explanation)
    assert [640, -20] == [each["held"]["score"] for each in explanation.plain()["containers"]]


def test_a_pod_whose_containers_are_not_reported_has_the_entry_of_the_pod() -> None:
    """It applies to all containers, as in the kernel."""
    whole = found(replace(FACTS, containers=(replace(RUNNING, container=None),)))

    assert [300, 300] == [each["held"]["priority"] for each in whole.plain()["containers"]]


def refuse(_: str) -> NodeFacts:
    raise click.ClickException("no agent runs on node node-1")


def never(_: str) -> NodeFacts:
    raise AssertionError("asked")


@pytest.mark.parametrize(
    ("ask", "cluster", "why"),
    [
        (refuse, {}, "no agent runs on node node-1"),
        (never, {"enforcing": "Unknown"}, "AgentSilent: silent for 11m"),
        (never, {"node": None}, "the pod is on no node yet"),
        (lambda _: replace(FACTS, holding=None, held_problem="no pins"), {}, "no pins"),
        (
            lambda _: replace(FACTS, containers=(replace(RUNNING, uid="another"),)),
            {},
            "the agent of the node sees no running container of this pod",
        ),
    ],
)
def test_a_node_that_does_not_answer_is_one_line(
    ask: Callable[[str], NodeFacts], cluster: dict[str, Any], why: str
) -> None:
    """A silent agent and a pod without a node are not asked. An earlier pod of the same name has another uid."""
    explanation = asked(ask, **cluster)
    lines = shown(explanation)

    assert "CONTAINER PRIORITY REASON" == lines[0]
    assert [f"The priorities that the node holds are not known: {why}"] == lines[4:]
    data = explanation.plain()
    assert (None, why, [None, None]) == (data["heldIn"], data["heldProblem"], [e["held"] for e in data["containers"]])

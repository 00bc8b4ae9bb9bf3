# SPDX-License-Identifier: Apache-2.0
"""The loop writes what is due, in pieces, and an API server that says no is asked again later. A fake says no."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from oompolicy.controller.loop import Loop
from oompolicy.controller.metrics import Metrics
from oompolicy.kube.connection import Connection
from tests.unit.controller.raws import SETTINGS, raw_policy
from tests.unit.kube.server import Answer, Asked, Server, serving, status

if TYPE_CHECKING:
    from collections.abc import Iterator

HURRIED = replace(SETTINGS, turn_gap=0.0, idle_turn=0.01, writes_per_turn=2)


class Cluster:
    """Has the policies of its list, takes all writes, and refuses what `refuses` (path -> answer) names."""

    def __init__(self) -> None:
        self.policies: list[str] = []
        self.refuses: dict[str, Answer] = {}
        self.written: list[str] = []

    def answer(self, asked: Asked) -> Answer:
        if asked.path in self.refuses:
            return self.refuses[asked.path]
        if asked.method == "GET":
            return Answer(body={"metadata": {}, "items": [raw_policy(name) for name in self.policies]})
        sent = json.loads(asked.body)
        name = sent["metadata"]["name"]
        self.written.append(name)
        if sent["kind"] == "OOMPolicy":
            return Answer(body=raw_policy(name, status=sent["status"]))
        return Answer(201, sent)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def server(cluster: Cluster) -> Iterator[Server]:
    with serving(by=cluster.answer) as made:
        yield made


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def loop(server: Server, metrics: Metrics) -> Loop:
    return Loop(Connection(server.configuration), HURRIED, metrics, lambda: None)


def list_others(loop: Loop, *nodes: str) -> None:
    loop.post(partial(loop.state.pods_listed, {}))
    loop.post(partial(loop.state.namespaces_listed, {}))
    loop.post(partial(loop.state.nodes_listed, {f"uid-{name}": name for name in nodes}))
    loop.post(partial(loop.state.oomnodes_listed, {}))


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def path(name: str) -> str:
    return f"/apis/oompolicy.dev/v1alpha1/oompolicies/{name}/status"


def test_nothing_is_written_until_everything_is_listed(cluster: Cluster, loop: Loop) -> None:
    """What would be said of a half-known cluster is wrong."""
    cluster.policies = ["a"]
    loop.turn()
    loop.turn()
    assert [] == cluster.written
    list_others(loop, "n1")
    loop.turn()

    assert ["a", "n1"] == cluster.written


def test_what_was_written_leads_to_nothing(cluster: Cluster, loop: Loop, metrics: Metrics) -> None:
    """When it comes back as an event."""
    cluster.policies = ["a"]
    loop.turn()
    list_others(loop)
    loop.turn()
    loop.post(partial(loop.state.policy, raw_policy("a", status=loop.state.policies.known["a"].status)))
    loop.turn()
    loop.turn()

    assert ["a"] == cluster.written
    assert 5 == value(metrics, "oompolicy_operator_lag_seconds_count")


def test_much_is_written_in_pieces(cluster: Cluster, loop: Loop) -> None:
    """And changes are taken in between them."""
    loop.turn()
    list_others(loop, "n1", "n2", "n3", "n4", "n5")
    written = []
    for _ in range(3):
        loop.turn()
        written.append(len(cluster.written))

    assert [2, 4, 5] == written


def test_a_definition_is_waited_for(cluster: Cluster, server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """kopf begins when there is something to watch, and once."""
    missing = Answer(404, status(404, "NotFound", "the server could not find the requested resource"))
    cluster.refuses["/apis/oompolicy.dev/v1alpha1/oompolicies"] = missing
    defined: list[bool] = []
    loop = Loop(Connection(server.configuration), HURRIED, Metrics(), lambda: defined.append(True))
    loop.turn()
    assert [] == defined
    assert "OOMPolicy is not defined: apply crds/" in caplog.text
    cluster.refuses.clear()
    turn_until(loop, lambda: defined)
    loop.post(loop.policies_doubtful)
    loop.turn()

    assert [True] == defined


def test_a_watch_that_ended_is_begun_again_when_policies_can_be_listed(
    cluster: Cluster, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Not before: its definition may be gone. What went meanwhile is missing from that list."""
    cluster.policies = ["a", "b"]
    defined: list[bool] = []
    loop = Loop(Connection(server.configuration), HURRIED, Metrics(), lambda: defined.append(True))
    loop.turn()
    cluster.policies = ["b"]
    gone = Answer(404, status(404, "NotFound", "the server could not find the requested resource"))
    cluster.refuses["/apis/oompolicy.dev/v1alpha1/oompolicies"] = gone
    loop.post(loop.policies_unwatched)
    loop.turn()
    assert [True] == defined
    assert "OOMPolicy is not defined: apply crds/" in caplog.text
    cluster.refuses.clear()
    turn_until(loop, lambda: len(defined) == 2)

    assert ["b"] == list(loop.state.policies.known)


def test_a_busy_server_is_asked_again_when_it_said(cluster: Cluster, loop: Loop, metrics: Metrics) -> None:
    """By nobody meanwhile: what is refused to one would be to the others."""
    cluster.policies = ["a", "b"]
    loop.turn()
    busy = Answer(429, status(429, "TooManyRequests", "later"), {"Retry-After": "1"})
    cluster.refuses = {path("a"): busy, path("b"): busy}
    list_others(loop, "n1")
    loop.turn()
    refused = time.monotonic()
    cluster.refuses.clear()
    loop.turn()
    assert [] == cluster.written
    turn_until(loop, lambda: cluster.written)

    assert time.monotonic() - refused >= 0.95
    assert 1 == value(metrics, "oompolicy_operator_errors_total", request="any")


def test_a_refusal_of_one_policy_leaves_the_others(cluster: Cluster, loop: Loop, metrics: Metrics) -> None:
    """As when a definition is older than the operator."""
    cluster.policies = ["a", "b"]
    loop.turn()
    cluster.refuses[path("a")] = Answer(422, status(422, "Invalid", "no"))
    list_others(loop)
    loop.turn()
    loop.turn()

    assert ["b"] == cluster.written
    assert 1 == value(metrics, "oompolicy_operator_errors_total", request="OOMPolicy")


def test_a_policy_that_went_before_its_status_came_is_no_error(cluster: Cluster, loop: Loop, metrics: Metrics) -> None:
    """We hear of that in time."""
    cluster.policies = ["a"]
    loop.turn()
    cluster.refuses[path("a")] = Answer(404, status(404, "NotFound", "gone"))
    list_others(loop)
    loop.turn()

    assert value(metrics, "oompolicy_operator_errors_total", request="OOMPolicy") is None


def test_an_oomnode_that_is_there_is_no_error(cluster: Cluster, loop: Loop, metrics: Metrics) -> None:
    """Its event is under way."""
    loop.turn()
    cluster.refuses["/apis/oompolicy.dev/v1alpha1/oomnodes"] = Answer(409, status(409, "AlreadyExists", "there"))
    list_others(loop, "n1")
    loop.turn()

    assert {} == loop.state.missing
    assert value(metrics, "oompolicy_operator_errors_total", request="any") is None


def test_a_deleted_policy_leaves_no_metrics(cluster: Cluster, loop: Loop, metrics: Metrics) -> None:
    """Or those of years would pile up."""
    cluster.policies = ["a"]
    loop.turn()
    list_others(loop)
    loop.turn()
    assert 0 == value(metrics, "oompolicy_policy_matched_pods", policy="a")
    loop.post(partial(loop.state.policy_deleted, "a", "uid-a"))
    loop.turn()

    assert value(metrics, "oompolicy_policy_matched_pods", policy="a") is None
    assert 0 == value(metrics, "oompolicy_policies", ready="true")


def test_a_stopped_loop_returns(loop: Loop) -> None:
    """Also one that was stopped before it ran."""
    loop.stop()
    loop.run()


def turn_until(loop: Loop, done: Any, deadline: float = 10.0) -> None:  # noqa: ANN401 - anything that is true or not
    end = time.monotonic() + deadline
    while not done():
        assert time.monotonic() < end
        loop.turn()

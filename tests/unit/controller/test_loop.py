# SPDX-License-Identifier: Apache-2.0
"""The loop writes due statuses in parts, and retries later after a refusal. A fake API server refuses."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from oompolicy.controller.loop import Loop
from oompolicy.controller.metrics import Metrics
from oompolicy.controller.nodetable import Node
from oompolicy.controller.watches import node_report
from oompolicy.kube.connection import Connection
from tests.unit.controller.raws import SETTINGS, raw_policy
from tests.unit.kube.server import Answer, Asked, Server, status

if TYPE_CHECKING:
    from collections.abc import Callable

HURRIED = replace(SETTINGS, turn_gap=0.0, idle_turn=0.01, writes_per_turn=2)


class Cluster:
    """An API server with the policies of its list. It accepts all writes except to the paths in `refuses`."""

    def __init__(self) -> None:
        self.policies: list[str] = []
        self.settings: list[dict[str, Any]] = []
        self.refuses: dict[str, Answer] = {}
        self.written: list[str] = []
        self.conditions: dict[str, list[dict[str, str]]] = {}

    def answer(self, asked: Asked) -> Answer:
        if asked.path in self.refuses:
            return self.refuses[asked.path]
        if asked.method == "GET" and asked.path.endswith("/oomsettings"):
            return Answer(body={"metadata": {}, "items": self.settings})
        if asked.method == "GET":
            return Answer(body={"metadata": {}, "items": [raw_policy(name) for name in self.policies]})
        sent = json.loads(asked.body)
        name = sent["metadata"]["name"]
        self.written.append(name)
        if sent["kind"] == "OOMPolicy":
            return Answer(body=raw_policy(name, status=sent["status"]))
        if asked.method == "PATCH":
            self.conditions[name] = sent["status"]["conditions"]
            raw = raw_oomnode(name)
            return Answer(body={**raw, "status": {**raw["status"], **sent["status"]}})
        return Answer(201, sent)


@pytest.fixture
def cluster() -> Cluster:
    return Cluster()


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def loop(server: Server, metrics: Metrics) -> Loop:
    return Loop(Connection(server.configuration), HURRIED, metrics, lambda: None)


def list_others(loop: Loop, *nodes: str, oomnodes: tuple[dict[str, Any], ...] = ()) -> None:
    loop.post(partial(loop.state.pods_listed, {}))
    loop.post(partial(loop.state.namespaces_listed, {}))
    loop.post(partial(loop.state.nodes_listed, {f"uid-{name}": Node(name) for name in nodes}))
    loop.post(partial(loop.state.oomnodes_listed, {f"oomnode-{name_of(each)}": node_report(each) for each in oomnodes}))


def name_of(oomnode: dict[str, Any]) -> str:
    return str(oomnode["metadata"]["name"])


def raw_oomnode(name: str, heartbeat: str = "2026-11-28T05:00:00Z", status: str = "True") -> dict[str, Any]:
    conditions = [
        {"type": each, "status": status, "reason": "Good", "message": "", "lastTransitionTime": "2026-11-28T04:00:00Z"}
        for each in ("Ready", "Enforcing")
    ]
    return {
        "apiVersion": "oompolicy.dev/v1alpha1",
        "kind": "OOMNode",
        "metadata": {"name": name, "uid": f"oomnode-{name}", "resourceVersion": heartbeat},
        "status": {"backend": "EvaluateTask", "lastHeartbeatTime": heartbeat, "bootID": "b", "conditions": conditions},
    }


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def path(name: str) -> str:
    return f"/apis/oompolicy.dev/v1alpha1/oompolicies/{name}/status"


def test_nothing_is_written_until_everything_is_listed(cluster: Cluster, loop: Loop) -> None:
    """A status that follows from half of the objects would be wrong."""
    cluster.policies = ["a"]
    loop.turn()
    loop.turn()
    assert [] == cluster.written
    list_others(loop, "n1")
    loop.turn()

    assert ["a", "n1"] == cluster.written


def test_the_event_of_a_written_status_causes_no_write(cluster: Cluster, loop: Loop, metrics: Metrics) -> None:
    """A status that comes back as an event equals the wanted status."""
    cluster.policies = ["a"]
    loop.turn()
    list_others(loop)
    loop.turn()
    loop.post(partial(loop.state.policy, raw_policy("a", status=loop.state.policies.records["a"].status)))
    loop.turn()
    loop.turn()

    assert ["a"] == cluster.written
    assert 5 == value(metrics, "oompolicy_operator_lag_seconds_count")


def test_many_writes_are_spread_over_turns(cluster: Cluster, loop: Loop) -> None:
    """One turn makes at most `writes_per_turn` writes of a kind, so changes are taken in between."""
    loop.turn()
    list_others(loop, "n1", "n2", "n3", "n4", "n5")
    written = []
    for _ in range(3):
        loop.turn()
        written.append(len(cluster.written))

    assert [2, 4, 5] == written


def test_the_watch_starts_once_when_policies_are_defined(
    cluster: Cluster, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """kopf is started when OOMPolicy is defined, and only once. Until then the log asks for the definition."""
    missing = Answer(404, status(404, "NotFound", "the server could not find the requested resource"))
    cluster.refuses["/apis/oompolicy.dev/v1alpha1/oompolicies"] = missing
    defined: list[bool] = []
    loop = Loop(Connection(server.configuration), HURRIED, Metrics(), lambda: defined.append(True))
    loop.turn()
    assert [] == defined
    assert "OOMPolicy is not defined: apply crds/" in caplog.text
    cluster.refuses.clear()
    turn_until(loop, lambda: defined)
    loop.post(loop.recheck_policies)
    loop.turn()

    assert [True] == defined


def test_an_ended_watch_restarts_when_policies_can_be_listed(
    cluster: Cluster, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Its definition may be deleted until then. Policies that are missing from the list are dropped."""
    cluster.policies = ["a", "b"]
    defined: list[bool] = []
    loop = Loop(Connection(server.configuration), HURRIED, Metrics(), lambda: defined.append(True))
    loop.turn()
    cluster.policies = ["b"]
    gone = Answer(404, status(404, "NotFound", "the server could not find the requested resource"))
    cluster.refuses["/apis/oompolicy.dev/v1alpha1/oompolicies"] = gone
    loop.post(loop.watch_ended)
    loop.turn()
    assert [True] == defined
    assert "OOMPolicy is not defined: apply crds/" in caplog.text
    cluster.refuses.clear()
    turn_until(loop, lambda: len(defined) == 2)

    assert ["b"] == list(loop.state.policies.records)


def test_a_busy_server_receives_no_request_before_its_retry_after(
    cluster: Cluster, loop: Loop, metrics: Metrics
) -> None:
    """All writes wait for the Retry-After of one answer, because a busy server would refuse the others too."""
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


def test_a_refusal_of_one_policy_does_not_delay_the_others(cluster: Cluster, loop: Loop, metrics: Metrics) -> None:
    """The server may refuse one status, such as by a definition that is older than the operator."""
    cluster.policies = ["a", "b"]
    loop.turn()
    cluster.refuses[path("a")] = Answer(422, status(422, "Invalid", "no"))
    list_others(loop)
    loop.turn()
    loop.turn()

    assert ["b"] == cluster.written
    assert 1 == value(metrics, "oompolicy_operator_errors_total", request="OOMPolicy")


def test_the_status_of_a_deleted_policy_is_no_error(cluster: Cluster, loop: Loop, metrics: Metrics) -> None:
    """A 404 means that the policy was deleted, and its event will arrive."""
    cluster.policies = ["a"]
    loop.turn()
    cluster.refuses[path("a")] = Answer(404, status(404, "NotFound", "gone"))
    list_others(loop)
    loop.turn()

    assert value(metrics, "oompolicy_operator_errors_total", request="OOMPolicy") is None


def test_an_oomnode_that_exists_already_is_no_error(cluster: Cluster, loop: Loop, metrics: Metrics) -> None:
    """A 409 means that the OOMNode exists, and its event will arrive."""
    loop.turn()
    cluster.refuses["/apis/oompolicy.dev/v1alpha1/oomnodes"] = Answer(409, status(409, "AlreadyExists", "there"))
    list_others(loop, "n1")
    loop.turn()

    assert {} == loop.state.missing
    assert value(metrics, "oompolicy_operator_errors_total", request="any") is None


def test_a_deleted_policy_leaves_no_metrics(cluster: Cluster, loop: Loop, metrics: Metrics) -> None:
    """The metrics of a deleted policy are removed, so they do not accumulate over years."""
    cluster.policies = ["a"]
    loop.turn()
    list_others(loop)
    loop.turn()
    assert 0 == value(metrics, "oompolicy_policy_matched_pods", policy="a")
    loop.post(partial(loop.state.policy_deleted, "a", "uid-a"))
    loop.turn()

    assert value(metrics, "oompolicy_policy_matched_pods", policy="a") is None
    assert 0 == value(metrics, "oompolicy_policies", ready="true")


SILENT_AFTER = 0.2


def oomnode_path(name: str) -> str:
    return f"/apis/oompolicy.dev/v1alpha1/oomnodes/{name}/status"


@pytest.fixture
def oomnodes_are_watched() -> list[bool]:
    """Return whether the loop has a watch of OOMNodes."""
    return [True]


@pytest.fixture
def impatient(server: Server, metrics: Metrics, oomnodes_are_watched: list[bool]) -> Loop:
    """Return a loop that regards agents as silent after a moment."""
    settings = replace(HURRIED, silent_after=SILENT_AFTER)
    return Loop(Connection(server.configuration), settings, metrics, lambda: None, lambda: oomnodes_are_watched[0])


def test_the_conditions_of_a_silent_agent_become_unknown(cluster: Cluster, impatient: Loop, metrics: Metrics) -> None:
    """They are written once, and the node counts as unknown."""
    impatient.turn()
    list_others(impatient, "n1", oomnodes=(raw_oomnode("n1"),))
    impatient.turn()
    assert 1 == value(metrics, "oompolicy_nodes", backend="EvaluateTask")
    turn_until(impatient, lambda: cluster.conditions)
    for _ in range(3):
        impatient.turn()

    assert ["n1"] == cluster.written
    assert {("Unknown", "AgentSilent")} == {(each["status"], each["reason"]) for each in cluster.conditions["n1"]}
    assert (0, 1) == tuple(value(metrics, "oompolicy_nodes", backend=name) for name in ("EvaluateTask", "Unknown"))
    assert 1 == value(metrics, "oompolicy_nodes_silent")
    assert 1 == value(metrics, "oompolicy_operator_writes_total", kind="OOMNode")


def test_nothing_is_marked_while_heartbeats_are_not_received(
    cluster: Cluster, impatient: Loop, oomnodes_are_watched: list[bool]
) -> None:
    """The API server may be unreachable for the agents too."""
    impatient.turn()
    list_others(impatient, "n1", oomnodes=(raw_oomnode("n1"),))
    impatient.turn()
    oomnodes_are_watched[0] = False
    impatient.turn()
    wait(impatient, 2 * SILENT_AFTER)
    oomnodes_are_watched[0] = True
    impatient.turn()
    assert {} == cluster.conditions
    turn_until(impatient, lambda: cluster.conditions)


def test_a_version_that_has_changed_is_no_error(cluster: Cluster, impatient: Loop, metrics: Metrics) -> None:
    """A 409 means that the agent has reported meanwhile, and its event will arrive."""
    impatient.turn()
    list_others(impatient, "n1", oomnodes=(raw_oomnode("n1"),))
    cluster.refuses[oomnode_path("n1")] = Answer(409, status(409, "Conflict", "modified"))
    turn_until(impatient, lambda: impatient.state.silent)
    assert {} == impatient.state.unmarked
    reported = node_report(raw_oomnode("n1", "2026-11-28T05:05:00Z"))
    impatient.post(partial(impatient.state.oomnode, "oomnode-n1", reported))
    impatient.turn()

    assert 0 == impatient.state.silent
    assert {} == cluster.conditions
    assert value(metrics, "oompolicy_operator_errors_total", request="OOMNode") is None


def test_an_operator_that_may_not_mark_counts_without_marks(
    cluster: Cluster, impatient: Loop, metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    """Its role may be older than the operator. All other writes continue."""
    cluster.policies = ["a"]
    impatient.turn()
    list_others(impatient, "n1", oomnodes=(raw_oomnode("n1"),))
    cluster.refuses[oomnode_path("n1")] = Answer(403, status(403, "Forbidden", "no"))
    turn_until(impatient, lambda: impatient.state.silent)
    wait(impatient, SILENT_AFTER)

    assert 1 == value(metrics, "oompolicy_operator_errors_total", request="OOMNode")
    assert 1 == value(metrics, "oompolicy_nodes_silent")
    assert ["a"] == cluster.written
    assert "cannot set the conditions of OOMNode n1 to Unknown: 403 Forbidden: no" in caplog.text


def wait(loop: Loop, seconds: float) -> None:
    end = time.monotonic() + seconds
    turn_until(loop, lambda: time.monotonic() >= end)


def test_a_loop_that_is_stopped_before_it_runs_returns(loop: Loop) -> None:
    """`run` returns at once if `stop` was called before."""
    loop.stop()
    loop.run()


def turn_until(loop: Loop, done: Callable[[], object], deadline: float = 10.0) -> None:
    end = time.monotonic() + deadline
    while not done():
        assert time.monotonic() < end
        loop.turn()

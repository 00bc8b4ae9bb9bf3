# SPDX-License-Identifier: Apache-2.0
"""The loop writes spec.mode of OOMNodes and the status of OOMSettings, and goes on after a refusal."""

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
from tests.unit.controller.raws import SETTINGS, raw_settings
from tests.unit.kube.server import Answer, Asked, Server, status

if TYPE_CHECKING:
    from collections.abc import Callable

HURRIED = replace(
    SETTINGS, turn_gap=0.0, idle_turn=0.01, writes_per_turn=2, retry_max=0.1, mode_settle=0.2, condition_gap=0.1
)
CANARY = {"pool": "canary"}
GROUP = "/apis/oompolicy.dev/v1alpha1"
OWN_FIELDS = {"manager": "oompolicy-operator", "operation": "Apply", "fieldsV1": {"f:spec": {"f:mode": {}}}}


class Cluster:
    """An API server with OOMSettings and OOMNodes. It accepts all writes except to the paths in `refuses`."""

    def __init__(self) -> None:
        self.settings: list[dict[str, Any]] = []
        self.refuses: dict[str, Answer] = {}
        self.modes: list[tuple[str, str | None]] = []
        self.statuses: list[dict[str, Any]] = []

    def answer(self, asked: Asked) -> Answer:
        if asked.path in self.refuses:
            return self.refuses[asked.path]
        if asked.method == "GET":
            items = self.settings if asked.path.endswith("/oomsettings") else []
            return Answer(body={"metadata": {}, "items": items})
        sent = json.loads(asked.body)
        name = sent["metadata"]["name"]
        if sent["kind"] == "OOMSettings":
            self.statuses.append(sent["status"])
            return Answer(body={**self.settings[0], "status": sent["status"]})
        mode = sent.get("spec", {}).get("mode")
        self.modes.append((name, mode))
        assert asked.query["force"] == "false"
        return Answer(body=raw_oomnode(name, mode))


def raw_oomnode(name: str, mode: str | None = None, reported: str = "Audit") -> dict[str, Any]:
    metadata = {"name": name, "uid": f"o-{name}", "resourceVersion": "1", "managedFields": [OWN_FIELDS] if mode else []}
    return {"metadata": metadata, "spec": {"mode": mode} if mode else {}, "status": {"mode": reported}}


@pytest.fixture
def cluster() -> Cluster:
    made = Cluster()
    made.settings = [raw_settings(node_modes=[(CANARY, "Audit")])]
    return made


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def watched() -> list[bool]:
    """One item for each time that OOMSettings can be watched."""
    return []


@pytest.fixture
def loop(server: Server, metrics: Metrics, watched: list[bool]) -> Loop:
    return Loop(
        Connection(server.configuration),
        HURRIED,
        metrics,
        lambda: None,
        settings_watchable=lambda: watched.append(True),
    )


def list_others(loop: Loop, *oomnodes: dict[str, Any]) -> None:
    names = [each["metadata"]["name"] for each in oomnodes]
    loop.post(partial(loop.state.pods_listed, {}))
    loop.post(partial(loop.state.namespaces_listed, {}))
    loop.post(partial(loop.state.nodes_listed, {f"u-{name}": Node(name, labels=CANARY) for name in names}))
    loop.post(partial(loop.state.oomnodes_listed, {f"o-{name_of(each)}": node_report(each) for each in oomnodes}))


def name_of(oomnode: dict[str, Any]) -> str:
    return str(oomnode["metadata"]["name"])


def turn_until(loop: Loop, done: Callable[[], object], deadline: float = 10.0) -> None:
    end = time.monotonic() + deadline
    while not done():
        assert time.monotonic() < end
        loop.turn()


def said(status_: dict[str, Any], kind: str) -> tuple[str, str]:
    (found,) = (each for each in status_["conditions"] if each["type"] == kind)
    return found["status"], found["reason"]


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def test_modes_and_status_are_written_once(cluster: Cluster, loop: Loop, metrics: Metrics) -> None:
    """The answers to the writes, and their events, cause no further writes."""
    loop.turn()
    list_others(loop, raw_oomnode("n1"), raw_oomnode("n2"), raw_oomnode("n3"))
    turn_until(loop, lambda: len(cluster.modes) == 3 and cluster.statuses)
    for name in ("n1", "n2", "n3"):
        loop.post(partial(loop.state.oomnode, f"o-{name}", node_report(raw_oomnode(name, "Audit"))))
    loop.post(partial(loop.state.settings, {**cluster.settings[0], "status": cluster.statuses[0]}))
    for _ in range(3):
        loop.turn()

    assert [("n1", "Audit"), ("n2", "Audit"), ("n3", "Audit")] == cluster.modes
    (written,) = cluster.statuses
    assert {"Enforce": 0, "Audit": 3, "Off": 0, "Unknown": 0} == written["nodesByMode"]
    assert (3, 1) == tuple(
        value(metrics, "oompolicy_operator_writes_total", kind=kind) for kind in ("OOMNode", "OOMSettings")
    )
    assert (3, 0) == tuple(value(metrics, "oompolicy_nodes_by_mode", mode=mode) for mode in ("Audit", "Enforce"))


def test_metrics_show_which_settings_are_in_effect(loop: Loop, metrics: Metrics) -> None:
    """The kill switch of the last valid settings stays in effect while the object is not valid."""

    def shown() -> tuple[float | None, ...]:
        valid, invalid = (value(metrics, "oompolicy_settings", ready=ready) for ready in ("true", "false"))
        return valid, invalid, value(metrics, "oompolicy_suspended")

    loop.turn()
    list_others(loop)
    loop.turn()
    assert (1, 0, 0) == shown()
    loop.post(partial(loop.state.settings, raw_settings(generation=2, suspend=True)))
    loop.turn()
    assert (1, 0, 1) == shown()
    loop.post(partial(loop.state.settings, raw_settings("Sometimes", generation=3)))
    loop.turn()
    assert (0, 1, 1) == shown()
    loop.post(partial(loop.state.settings_deleted, "uid-settings"))
    loop.turn()
    assert (0, 0, 0) == shown()


def test_a_mode_without_an_entry_is_removed_from_the_node(cluster: Cluster, loop: Loop) -> None:
    """An apply without the field removes it. Deleted settings remove nothing."""
    loop.turn()
    list_others(loop, raw_oomnode("n1", "Audit"))
    loop.turn()
    loop.post(partial(loop.state.settings, raw_settings(generation=2)))
    turn_until(loop, lambda: cluster.modes)
    assert [("n1", None)] == cluster.modes

    list_others(loop, raw_oomnode("n1", "Audit"))
    loop.post(partial(loop.state.settings_deleted, "uid-settings"))
    for _ in range(3):
        loop.turn()
    assert [("n1", None)] == cluster.modes


def test_a_mode_that_another_manager_has_just_set_is_no_error(cluster: Cluster, loop: Loop, metrics: Metrics) -> None:
    """A 409 means that the OOMNode has changed, and its event will arrive."""
    cluster.refuses[f"{GROUP}/oomnodes/n1"] = Answer(409, status(409, "Conflict", "kubectl has it"))
    loop.turn()
    list_others(loop, raw_oomnode("n1"))
    turn_until(loop, lambda: cluster.statuses)

    assert ({}, []) == (loop.state.modes.unwritten, cluster.modes)
    assert value(metrics, "oompolicy_operator_errors_total", request="OOMNode") is None


def test_a_refused_mode_is_tried_again(
    cluster: Cluster, loop: Loop, metrics: Metrics, caplog: pytest.LogCaptureFixture
) -> None:
    """The role may be of an earlier version. Other writes continue, and the log has the reason."""
    cluster.refuses[f"{GROUP}/oomnodes/n1"] = Answer(403, status(403, "Forbidden", "no"))
    loop.turn()
    list_others(loop, raw_oomnode("n1"))
    turn_until(loop, lambda: cluster.statuses)
    assert "cannot write spec.mode of OOMNode n1: 403 Forbidden: no. Retrying in" in caplog.text
    assert 1 == value(metrics, "oompolicy_operator_errors_total", request="OOMNode")
    cluster.refuses.clear()
    turn_until(loop, lambda: cluster.modes)


def test_a_refused_status_is_tried_again(cluster: Cluster, loop: Loop, metrics: Metrics) -> None:
    """The modes of nodes do not wait for it."""
    cluster.refuses[f"{GROUP}/oomsettings/cluster/status"] = Answer(422, status(422, "Invalid", "no"))
    loop.turn()
    list_others(loop, raw_oomnode("n1"))
    turn_until(loop, lambda: value(metrics, "oompolicy_operator_errors_total", request="OOMSettings"))
    assert [("n1", "Audit")] == cluster.modes
    cluster.refuses.clear()
    turn_until(loop, lambda: cluster.statuses)


def test_a_node_with_an_older_agent_is_named_after_some_time(cluster: Cluster, loop: Loop, metrics: Metrics) -> None:
    """The condition is False from the beginning, and its reason changes without any event."""
    loop.turn()
    list_others(loop, raw_oomnode("n1", "Audit", reported="Enforce"))
    turn_until(loop, lambda: cluster.statuses)
    assert ("False", "Changing") == said(cluster.statuses[0], "Applied")
    assert 1 == value(metrics, "oompolicy_nodes_other_mode")
    turn_until(loop, lambda: len(cluster.statuses) > 1)

    assert ("False", "NodesDiffer") == said(cluster.statuses[1], "Applied")


def test_an_undefined_kind_stops_nothing(
    cluster: Cluster, loop: Loop, watched: list[bool], caplog: pytest.LogCaptureFixture
) -> None:
    """It is reported once, and OOMSettings are watched as soon as they are defined."""
    cluster.refuses[f"{GROUP}/oomsettings"] = Answer(404, status(404, "NotFound", "page not found"))
    loop.turn()
    list_others(loop, raw_oomnode("n1", "Audit"))
    end = time.monotonic() + 3 * HURRIED.retry_max
    turn_until(loop, lambda: time.monotonic() > end)
    assert (1, []) == (caplog.text.count("OOMSettings is not defined: apply crds/"), watched)
    assert [] == cluster.modes
    cluster.refuses.clear()
    turn_until(loop, lambda: watched)

    assert loop.state.modes.settings.valid is not None


def test_a_forbidden_list_changes_no_mode(cluster: Cluster, loop: Loop, caplog: pytest.LogCaptureFixture) -> None:
    """The settings are unknown then, so the modes of nodes must stay."""
    cluster.refuses[f"{GROUP}/oomsettings"] = Answer(403, status(403, "Forbidden", "no"))
    loop.turn()
    list_others(loop, raw_oomnode("n1", "Audit"))
    for _ in range(3):
        loop.turn()

    assert [] == cluster.modes
    assert "cannot list OOMSettings: 403 Forbidden: no. The modes of nodes stay as they are" in caplog.text


def test_an_ended_watch_starts_again_after_a_list(cluster: Cluster, loop: Loop, watched: list[bool]) -> None:
    """Settings that were deleted meanwhile are dropped."""
    loop.turn()
    cluster.settings = []
    loop.post(loop.settings_list.watch_ended)
    turn_until(loop, lambda: len(watched) == 2)
    assert loop.state.modes.settings.record is None
    loop.post(loop.settings_list.recheck)
    loop.turn()

    assert 2 == len(watched)

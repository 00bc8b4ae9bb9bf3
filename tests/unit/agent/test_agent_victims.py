# SPDX-License-Identifier: Apache-2.0
"""The whole agent reports victims, with a fake tree and fake pins."""

from __future__ import annotations

from typing import TYPE_CHECKING

from oompolicy_agent.status.metrics import Metrics
from tests.unit.agent.fakenode import CONTAINER
from tests.unit.agent.fakes import SYSTEMD, UID, ids_along, make, raw_pod, raw_policy, record

if TYPE_CHECKING:
    import pytest

    from tests.unit.agent.fakenode import Node


def test_a_victim_is_reported(node: Node) -> None:
    """The victim goes from the ring buffer to the output, and the spool is empty afterwards."""
    make(node.root, CONTAINER)
    node.put("pod.json", raw_pod())
    node.agent.start()
    node.kill(CONTAINER)
    node.until(lambda: node.events)

    assert ["spec.containers{app}"] == [each["regarding"]["fieldPath"] for each in node.events]
    assert [] == list((node.folder / "state/spool").iterdir())
    node.until(lambda: node.status["lastVictims"])


def test_a_victim_is_named_after_pod_and_cgroup_are_gone(node: Node) -> None:
    """This includes an agent that was restarted in between."""
    make(node.root, CONTAINER)
    node.put("pod.json", raw_pod())
    node.agent.start()
    killed = bytes(record(CONTAINER, ids_along(node.root, CONTAINER)))
    for path in (CONTAINER, SYSTEMD):
        (node.root / path).rmdir()
    (node.folder / "manifests/pod.json").unlink()
    node.restart()
    node.state["open"].events.put(killed)
    node.until(lambda: node.events)

    assert [("web-0", UID)] == [(each["regarding"]["name"], each["regarding"]["uid"]) for each in node.events]


def test_a_crash_loses_no_names(node: Node) -> None:
    """The owners of all entries are in the checkpoint before an orderly end.

    Pod and cgroup are removed after the crash.
    """
    make(node.root, CONTAINER)
    node.put("pod.json", raw_pod())
    node.agent.start()
    killed = bytes(record(CONTAINER, ids_along(node.root, CONTAINER)))
    (node.folder / "manifests/pod.json").unlink()
    for path in (CONTAINER, SYSTEMD):
        (node.root / path).rmdir()
    saved = (node.folder / "state/checkpoint.json").read_bytes()
    node.agent.stop()
    (node.folder / "state/checkpoint.json").write_bytes(saved)
    node.loop.close()
    node.boot()
    node.agent.start()
    node.state["open"].events.put(killed)
    node.until(lambda: node.events)

    assert ["web-0"] == [each["regarding"]["name"] for each in node.events]


def test_a_pod_of_short_life_is_named(node: Node) -> None:
    """No scan found its cgroup, and its object is deleted before the victim is read."""
    make(node.root, CONTAINER)
    killed = bytes(record(CONTAINER, ids_along(node.root, CONTAINER)))
    for path in (CONTAINER, SYSTEMD):
        (node.root / path).rmdir()
    node.agent.start()
    node.put("pod.json", raw_pod())
    node.until(lambda: node.status["counts"]["pods"] == 1)
    (node.folder / "manifests/pod.json").unlink()
    node.until(lambda: node.status["counts"]["pods"] == 0)
    node.state["open"].events.put(killed)
    node.until(lambda: node.events)

    assert ["spec.containers{app}"] == [each["regarding"]["fieldPath"] for each in node.events]


def test_a_victim_delivered_again_after_a_restart_is_reported_once(node: Node) -> None:
    """The checkpoint has the identities of the reported victims."""
    node.agent.start()
    for _ in range(2):
        node.kill("kubepods.slice")
        node.kill("kubepods.slice")
        node.until(lambda: node.events)
        node.restart()

    assert 1 == len(node.events)


def test_the_metrics_have_map_victims_and_lag(node: Node) -> None:
    """They need no API server."""
    make(node.root, CONTAINER)
    node.put("pod.json", raw_pod())
    node.agent.start()
    node.put("policy.json", raw_policy(value=300))
    node.until(lambda: node.priority(SYSTEMD) == 300)
    node.kill(CONTAINER)
    node.until(lambda: node.status["lastVictims"])
    text = Metrics(node.agent.counters, lambda: node.agent.view, node.agent.followed).text().decode()

    for line in (
        "oompolicy_agent_map_entries 5.0",
        "oompolicy_agent_ready 1.0",
        'oompolicy_agent_victims_total{qos_class="Burstable",scope="Node"} 1.0',
        "oompolicy_agent_change_seconds_count 1.0",
    ):
        assert f"{line}\n" in text


def test_an_unusable_record_stops_no_other(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged, and the next one is reported."""
    node.agent.start()
    node.state["open"].events.put(b"short")
    node.kill("kubepods.slice")
    node.until(lambda: node.events)

    assert "a record cannot be used: a victim's record has 5 bytes, expected 1656, or 1456 from before" in caplog.text

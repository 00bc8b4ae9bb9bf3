# SPDX-License-Identifier: Apache-2.0
"""A pod keeps its entries for as long as it has a cgroup, even if its object is deleted."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.unit.agent.fakenode import CONTAINER
from tests.unit.agent.fakes import PAUSE, SYSTEMD, UID, id_of, make, raw_pod, raw_policy

if TYPE_CHECKING:
    from tests.unit.agent.fakenode import Node

SANDBOX = f"{SYSTEMD}/cri-containerd-{PAUSE}.scope"


@pytest.fixture
def deleted_pod(node: Node) -> Node:
    """Return a node with a pod of priority 100. Its object is gone, and its processes run."""
    make(node.root, CONTAINER, SANDBOX)
    node.put("pod.json", raw_pod())
    node.put("policy.json", raw_policy(value=100))
    node.agent.start()
    node.until(lambda: node.priority(CONTAINER) == 100)
    (node.folder / "manifests/pod.json").unlink()
    node.until(lambda: node.status["counts"]["pods"] == 0)
    return node


def entries(node: Node) -> list[int | None]:
    return [node.priority(path) for path in (SYSTEMD, CONTAINER, SANDBOX)]


def test_a_deleted_object_leaves_the_entries(deleted_pod: Node) -> None:
    """Two `kubectl delete` delete the object while the kubelet waits for the grace period."""
    assert [100, 100, None] == entries(deleted_pod)


def test_the_entries_are_deleted_with_the_cgroup(deleted_pod: Node) -> None:
    """The map therefore never has more entries than there are cgroups."""
    gone = id_of(deleted_pod.root, SYSTEMD), id_of(deleted_pod.root, CONTAINER)
    shutil.rmtree(deleted_pod.root / SYSTEMD)
    deleted_pod.agent.full_check()

    assert not set(gone) & set(deleted_pod.state["map"])


def test_a_restart_leaves_the_entries(deleted_pod: Node) -> None:
    """An agent that starts does not know the object either."""
    deleted_pod.restart()

    assert [100, 100, None] == entries(deleted_pod)


def test_without_a_checkpoint_the_map_has_the_entries(deleted_pod: Node) -> None:
    """The map's pins outlive the agent."""
    deleted_pod.agent.stop()
    (deleted_pod.folder / "state/checkpoint.json").unlink()
    deleted_pod.loop.close()
    deleted_pod.boot()
    deleted_pod.agent.start()

    assert [100, 100, None] == entries(deleted_pod)


def test_without_the_map_the_checkpoint_has_the_entries(deleted_pod: Node) -> None:
    """The loader makes new maps if their layout changes."""
    deleted_pod.agent.stop()
    deleted_pod.state["map"].clear()
    deleted_pod.loop.close()
    deleted_pod.boot()
    deleted_pod.agent.start()

    assert [100, 100, None] == entries(deleted_pod)


@pytest.mark.parametrize("name", ["web-0", "other"])
def test_a_mirror_pod_does_not_take_over_the_cgroup(deleted_pod: Node, name: str) -> None:
    """This holds even for one with the deleted pod's name and with the node as its owner."""
    forged = raw_pod(name, uid="11111111-1111-4111-8111-111111111111", app="ef" * 32)
    forged["metadata"] |= {
        "annotations": {"kubernetes.io/config.mirror": UID},
        "creationTimestamp": "2026-11-27T20:00:00Z",
        "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "node-1", "uid": "n", "controller": True}],
        "labels": {"app": "dear"},
    }
    deleted_pod.put("forged.json", forged)
    deleted_pod.until(lambda: deleted_pod.status["refusals"])
    deleted_pod.kill(CONTAINER)
    deleted_pod.until(lambda: deleted_pod.events)

    assert [100, 100, None] == entries(deleted_pod)
    assert ("web-0", UID) == (deleted_pod.events[0]["regarding"]["name"], deleted_pod.events[0]["regarding"]["uid"])
    assert 0 == deleted_pod.status["counts"]["pods"]

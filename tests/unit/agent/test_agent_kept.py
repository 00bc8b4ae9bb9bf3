# SPDX-License-Identifier: Apache-2.0
"""A pod keeps its entries for as long as it has a cgroup, whatever becomes of its object."""

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
def orphan(node: Node) -> Node:
    """A node with a pod of priority 100 whose object is gone, and whose processes are not."""
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


def test_a_deleted_object_leaves_the_entries(orphan: Node) -> None:
    """Two `kubectl delete` are enough for that, and the kubelet waits out the grace period."""
    assert [100, 100, None] == entries(orphan)


def test_the_entries_go_with_the_cgroup(orphan: Node) -> None:
    """So the map holds no more than there are cgroups."""
    gone = id_of(orphan.root, SYSTEMD), id_of(orphan.root, CONTAINER)
    shutil.rmtree(orphan.root / SYSTEMD)
    orphan.agent.full_check()

    assert not set(gone) & set(orphan.state["map"])


def test_a_restart_leaves_the_entries(orphan: Node) -> None:
    """An agent that starts knows of no object either."""
    orphan.restart()

    assert [100, 100, None] == entries(orphan)


def test_without_a_checkpoint_the_map_remembers(orphan: Node) -> None:
    """Its pins outlive the agent."""
    orphan.agent.stop()
    (orphan.folder / "state/checkpoint.json").unlink()
    orphan.loop.close()
    orphan.boot()
    orphan.agent.start()

    assert [100, 100, None] == entries(orphan)


def test_without_the_map_the_checkpoint_remembers(orphan: Node) -> None:
    """The loader makes new maps when their layout changes."""
    orphan.agent.stop()
    orphan.state["map"].clear()
    orphan.loop.close()
    orphan.boot()
    orphan.agent.start()

    assert [100, 100, None] == entries(orphan)


@pytest.mark.parametrize("name", ["web-0", "other"])
def test_a_mirror_pod_does_not_take_over_the_cgroup(orphan: Node, name: str) -> None:
    """Not even one of the deleted pod's name, with the node as its owner."""
    forged = raw_pod(name, uid="11111111-1111-4111-8111-111111111111", app="ef" * 32)
    forged["metadata"] |= {
        "annotations": {"kubernetes.io/config.mirror": UID},
        "creationTimestamp": "2026-11-27T20:00:00Z",
        "ownerReferences": [{"apiVersion": "v1", "kind": "Node", "name": "node-1", "uid": "n", "controller": True}],
        "labels": {"app": "dear"},
    }
    orphan.put("forged.json", forged)
    orphan.until(lambda: orphan.status["refusals"])
    orphan.kill(CONTAINER)
    orphan.until(lambda: orphan.events)

    assert [100, 100, None] == entries(orphan)
    assert ("web-0", UID) == (orphan.events[0]["regarding"]["name"], orphan.events[0]["regarding"]["uid"])
    assert 0 == orphan.status["counts"]["pods"]

# SPDX-License-Identifier: Apache-2.0
"""A pod with containers outside of its cgroup is not mapped, and the node reports the reason."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from oompolicy_agent.mapping.strays import Found, Strays, sentence
from tests.unit.agent.fakenode import CONTAINER
from tests.unit.agent.fakes import SYSTEMD, make, pod, raw_pod, tree_of

if TYPE_CHECKING:
    from pathlib import Path

    from oompolicy.model import Pod
    from tests.unit.agent.fakenode import Node

GRACE = 5.0


def running() -> Pod:
    this = pod()
    return replace(this, containers=tuple(replace(each, running=True) for each in this.containers))


def test_a_pod_is_a_stray_only_after_a_while(tmp_path: Path) -> None:
    """A container's cgroup may be gone before the kubelet reports that."""
    make(tmp_path, SYSTEMD)
    tree, strays, this = tree_of(tmp_path), Strays(GRACE), running()

    assert Found((), GRACE) == strays.find([this], tree, 10)
    assert Found((), 1) == strays.find([this], tree, 14)
    assert Found((this,), None) == strays.find([this], tree, 15)


def test_a_pod_with_a_container_in_its_place_is_no_stray(tmp_path: Path) -> None:
    """This holds even if the kubelet has not reported its new id yet. The time then starts again."""
    make(tmp_path, CONTAINER, "empty")
    strays, this = Strays(0), running()

    assert Found((), None) == strays.find([this], tree_of(tmp_path), 0)
    assert Found((), None) == strays.find([pod()], tree_of(tmp_path), 0)
    assert Found((), None) == strays.find([this], tree_of(tmp_path / "empty"), 0)


def test_the_node_reports_that_the_drivers_differ(node: Node) -> None:
    """The report ends when the containers are in their place."""
    raw = raw_pod()
    raw["status"]["containerStatuses"][0]["state"] = {"running": {}}
    make(node.root, SYSTEMD)
    node.put("pod.json", raw)
    node.agent.start()
    node.until(lambda: node.status["problems"])

    assert [sentence((running(),))] == node.status["problems"]
    assert ["web-0"] == [each["name"] for each in node.status["notMapped"]]
    assert {"pods": 1, "podsMapped": 0}.items() <= node.status["counts"].items()
    assert "different cgroup drivers" in node.status["conditions"][2]["message"]
    node.make(CONTAINER)
    node.until(lambda: not node.status["problems"] and not node.status["notMapped"])

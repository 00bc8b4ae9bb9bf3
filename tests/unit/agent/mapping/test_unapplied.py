# SPDX-License-Identifier: Apache-2.0
"""A kill scope that no adjuster applies is found from the values on the node."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from oompolicy.model import Defaults, KillScope, QOSClass
from oompolicy.resolve import resolve
from oompolicy_agent.mapping.cgroups import CgroupDir, PodCgroup, Tree
from oompolicy_agent.mapping.unapplied import Unapplied, sentence
from tests.unit.agent.fakes import APP, UID, pod

if TYPE_CHECKING:
    from pathlib import Path

    from oompolicy.model import Assignment

GRACE = 25.0


class Node:
    """The pod's cgroup with the values of the kubelet."""

    def __init__(self, folder: Path) -> None:
        self.pod, self.app = folder / "pod", folder / "pod/app"
        self.app.mkdir(parents=True)
        self.set("0", "1")
        containers = {APP: CgroupDir(101, str(self.app))}
        self.tree = Tree(1, (), {UID: PodCgroup(100, str(self.pod), QOSClass.BURSTABLE, containers)})
        self.finder = Unapplied(GRACE)

    def set(self, *values: str) -> None:
        for path, value in zip((self.pod, self.app), values, strict=True):
            (path / "memory.oom.group").write_text(f"{value}\n")

    def find(self, scope: KillScope | None, now: float) -> int:
        return len(self.finder.find([assigned(scope)], self.tree, now))


def assigned(scope: KillScope | None) -> Assignment:
    (found,) = resolve((), (), [pod()], Defaults())
    return replace(found, policy="whole", kill_scope=scope)


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_a_scope_that_nobody_applies_is_certain_after_a_while(node: Node) -> None:
    """If the values were right in between, the time begins again."""
    assert [0, 0, 1] == [node.find(KillScope.POD, now) for now in (100.0, 120.0, 125.0)]
    node.set("1", "1")
    assert 0 == node.find(KillScope.POD, 126.0)
    node.set("0", "1")
    assert [0, 0, 1] == [node.find(KillScope.POD, now) for now in (127.0, 151.0, 152.0)]


def test_the_kubelets_values_may_be_right(node: Node) -> None:
    """`Container` needs no adjuster on most nodes, so a node without one has no problem then."""
    assert [0, 0] == [node.find(KillScope.CONTAINER, now) for now in (100.0, 200.0)]
    assert [0, 0] == [node.find(None, now) for now in (100.0, 200.0)]


def test_a_cgroup_that_vanishes_does_not_count(node: Node) -> None:
    (node.app / "memory.oom.group").unlink()

    assert [0, 0] == [node.find(KillScope.PROCESS, now) for now in (100.0, 200.0)]
    assert [(), ()] == [node.finder.find([assigned(KillScope.POD)], Tree(1), now) for now in (300.0, 400.0)]


def test_the_sentence_names_policy_pod_and_remedy() -> None:
    assert sentence(()) is None
    said = sentence((assigned(KillScope.POD),))
    assert said
    assert said.startswith("killScope Pod of OOMPolicy whole is not in force for pod ")
    assert "set killScope.enabled in the chart" in said
    assert " and 1 more pods: no adjuster" in (sentence((assigned(KillScope.POD),) * 2) or "")

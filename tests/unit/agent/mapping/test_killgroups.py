# SPDX-License-Identifier: Apache-2.0
"""The kill scope of a policy becomes memory.oom.group of a pod and of its containers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from oompolicy.model import Defaults, KillScope, QOSClass
from oompolicy.resolve import resolve
from oompolicy_agent.mapping.cgroups import CgroupDir, PodCgroup, SliceCgroup, Tree
from oompolicy_agent.mapping.killgroups import kill_groups
from tests.unit.agent.fakes import APP, PAUSE, UID, pod

if TYPE_CHECKING:
    from oompolicy.model import Assignment

POD, CONTAINER, SANDBOX = 100, 101, 102


def tree(uid: str = UID) -> Tree:
    containers = {APP: CgroupDir(CONTAINER, "/pod/app"), PAUSE: CgroupDir(SANDBOX, "/pod/pause")}
    slices = (SliceCgroup(10, "/kubepods", None),)
    return Tree(1, slices, {uid: PodCgroup(POD, "/pod", QOSClass.BURSTABLE, containers)})


def assigned(scope: KillScope | None) -> Assignment:
    (found,) = resolve((), (), [pod()], Defaults())
    return replace(found, kill_scope=scope)


@pytest.mark.parametrize(
    ("scope", "of_pod", "of_containers"),
    [(KillScope.CONTAINER, False, True), (KillScope.POD, True, True), (KillScope.PROCESS, False, False)],
)
def test_each_scope_sets_the_pod_and_all_its_containers(scope: KillScope, of_pod: bool, of_containers: bool) -> None:
    """A container that has just started has the value before its pod's object names it."""
    expected = {POD: of_pod, CONTAINER: of_containers, SANDBOX: of_containers}

    assert expected == kill_groups([assigned(scope)], tree())


def test_a_pod_without_kill_scope_keeps_the_kubelets_values() -> None:
    assert {} == kill_groups([assigned(None)], tree())


def test_a_pod_without_cgroup_has_no_kill_group() -> None:
    assert {} == kill_groups([assigned(KillScope.POD)], tree("11111111-2222-3333-4444-555555555555"))

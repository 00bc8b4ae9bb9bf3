# SPDX-License-Identifier: Apache-2.0
"""Whose a cgroup was is known after it is gone, and after a restart."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from oompolicy.model import Defaults
from oompolicy.resolve import resolve
from oompolicy_agent.mapping.owners import TOMBSTONE_SECONDS, TOMBSTONES, CgroupOwners, Owner, OwnerFinder
from tests.unit.agent.fakes import APP, PAUSE, SYSTEMD, UID, id_of, make, pod, tree_of

if TYPE_CHECKING:
    from pathlib import Path

    from oompolicy_agent.mapping.cgroups import Tree

CONTAINER = f"{SYSTEMD}/cri-containerd-{APP}.scope"
SANDBOX = f"{SYSTEMD}/cri-containerd-{PAUSE}.scope"


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    make(tmp_path, CONTAINER, SANDBOX)
    return tree_of(tmp_path)


def named(tree: Tree, *, known: bool = True) -> dict[int, Owner]:
    pods = [pod()] if known else []
    return OwnerFinder().of(tree, pods, resolve((), (), pods), Defaults())


def test_everything_in_the_tree_has_an_owner(tmp_path: Path, tree: Tree) -> None:
    """Slices, pod, container; and a sandbox is the pod's, but no container of it."""
    found = named(tree)
    container, sandbox = found[id_of(tmp_path, CONTAINER)], found[id_of(tmp_path, SANDBOX)]

    assert set(found) == tree.ids
    assert ("web-0", UID, "app", "container", 500) == (
        container.pod, container.pod_uid, container.container, container.container_kind, container.priority
    )  # fmt: skip
    assert ("web-0", "", PAUSE) == (sandbox.pod, sandbox.container, sandbox.container_id)
    assert {"the default for Guaranteed pods", "the default for Burstable pods"} == {
        found[each.id].reason for each in tree.slices
    }


def test_a_gone_cgroup_is_remembered(tmp_path: Path, tree: Tree) -> None:
    """With its names, though tree and pods know nothing of it any more."""
    index = CgroupOwners()
    index.update(named(tree), now=0)
    index.update({}, now=1)
    owner = index.get(id_of(tmp_path, CONTAINER))

    assert owner is not None
    assert ("web-0", "app") == (owner.pod, owner.container)


def test_names_stay_when_the_pod_object_goes_first(tmp_path: Path, tree: Tree) -> None:
    """The cgroup outlives it for a moment."""
    index = CgroupOwners()
    index.update(named(tree), now=0)
    index.update(named(tree, known=False), now=1)
    owner = index.get(id_of(tmp_path, CONTAINER))

    assert owner is not None
    assert "web-0" == owner.pod


def test_a_change_is_told() -> None:
    """So that the checkpoint is written for a reason."""
    index, owner = CgroupOwners(), Owner("pod", "/x", UID)

    assert index.update({1: owner}, now=0)
    assert not index.update({1: owner}, now=1)
    assert index.update({1: replace(owner, pod="web-0")}, now=2)


def test_a_restart_forgets_nothing(tmp_path: Path, tree: Tree) -> None:
    """Through the checkpoint's JSON; what the first scan does not show was removed meanwhile."""
    before, after = CgroupOwners(), CgroupOwners()
    before.update(named(tree), now=0)
    after.restore(json.loads(before.dump()), now=0)
    after.update({}, now=1)

    assert named(tree)[id_of(tmp_path, CONTAINER)] == after.get(id_of(tmp_path, CONTAINER))


@pytest.mark.parametrize("item", [{}, {"id": "x", "kind": "pod", "path": "/"}, {"id": 1}, {"id": 1, "kind": "pod"}])
def test_what_a_checkpoint_says_wrongly_is_left_out(item: dict[str, object]) -> None:
    """One bad item does not cost the others."""
    index = CgroupOwners()
    index.restore([item, {"id": 2, "kind": "pod", "path": "/x", "of the future": True}], now=0)

    assert index.get(1) is None
    assert Owner("pod", "/x") == index.get(2)


def test_tombstones_are_bounded() -> None:
    """The oldest go first; and in half an hour all do."""
    index = CgroupOwners()
    index.update({each: Owner("pod", "/x") for each in range(TOMBSTONES + 10)}, now=0)
    index.update({}, now=1)
    known = [each for each in range(TOMBSTONES + 10) if index.get(each)]
    index.update({}, now=2 + TOMBSTONE_SECONDS)

    assert list(range(10, TOMBSTONES + 10)) == known
    assert not any(index.get(each) for each in known)


def test_old_tombstones_go_and_the_bound_holds_at_once() -> None:
    """Both rules, whichever comes first."""
    index = CgroupOwners()
    index.update({each: Owner("pod", "/x") for each in range(5)}, now=0)
    index.update({each: Owner("pod", "/x") for each in range(10, TOMBSTONES + 20)}, now=1)
    index.update({}, now=TOMBSTONE_SECONDS + 2)

    assert TOMBSTONES == len([each for each in range(TOMBSTONES + 20) if index.get(each)])


def test_a_pod_of_which_nothing_changed_is_not_looked_at_again(tree: Tree) -> None:
    """One of 110 pods changes at a time, and the kernel waits for nobody."""
    pods, owners = [pod()], OwnerFinder()
    assignments = resolve((), (), pods)
    before = owners.of(tree, pods, assignments, Defaults())
    after = owners.of(tree, pods, assignments, Defaults())

    (cgroup,) = tree.pods.values()
    ids = [cgroup.id, *(each.id for each in cgroup.containers.values())]
    assert all(before[each] is after[each] for each in ids)


def test_every_change_of_a_pod_changes_its_owners(tmp_path: Path, tree: Tree) -> None:
    """Its priority, its object, its cgroups."""
    pods, owners = [pod()], OwnerFinder()
    found = [owners.of(tree, pods, resolve((), (), pods), Defaults())]
    dear = [replace(each, priority=900, containers=()) for each in resolve((), (), pods)]
    found.append(owners.of(tree, pods, dear, Defaults()))
    found.append(owners.of(tree, [replace(pods[0], name="other")], dear, Defaults()))
    found.append(owners.of(tree, [], dear, Defaults()))
    make(tmp_path, f"{SYSTEMD}/cri-containerd-{'f' * 64}.scope")
    found.append(owners.of(tree_of(tmp_path), [], dear, Defaults()))

    (cgroup,) = tree.pods.values()
    assert ([500, 900, 900, 900, 900], ["web-0", "web-0", "other", "", ""]) == (
        [each[cgroup.id].priority for each in found],
        [each[cgroup.id].pod for each in found],
    )
    assert len(found[3]) + 1 == len(found[4])

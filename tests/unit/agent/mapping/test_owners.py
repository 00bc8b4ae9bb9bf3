# SPDX-License-Identifier: Apache-2.0
"""The owner of a cgroup is known after the cgroup is gone, and after a restart."""

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
    """Slices, pods and containers have one. A sandbox belongs to its pod and is no container of it."""
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


def test_a_removed_cgroup_is_remembered(tmp_path: Path, tree: Tree) -> None:
    """Its names are known although tree and pods do not have it any more."""
    index = CgroupOwners()
    index.update(named(tree), now=0)
    index.update({}, now=1)
    owner = index.get(id_of(tmp_path, CONTAINER))

    assert owner is not None
    assert ("web-0", "app") == (owner.pod, owner.container)


def test_names_stay_if_the_pod_object_goes_first(tmp_path: Path, tree: Tree) -> None:
    """The cgroup exists for a moment longer than the object."""
    index = CgroupOwners()
    index.update(named(tree), now=0)
    index.update(named(tree, known=False), now=1)
    owner = index.get(id_of(tmp_path, CONTAINER))

    assert owner is not None
    assert "web-0" == owner.pod


def test_an_update_reports_whether_anything_changed() -> None:
    """The checkpoint is written only after a change."""
    index, owner = CgroupOwners(), Owner("pod", "/x", UID)

    assert index.update({1: owner}, now=0)
    assert not index.update({1: owner}, now=1)
    assert index.update({1: replace(owner, pod="web-0")}, now=2)


def test_a_restart_forgets_nothing(tmp_path: Path, tree: Tree) -> None:
    """The owners are saved in the checkpoint as JSON.

    A cgroup that the first scan does not find was removed meanwhile.
    """
    before, after = CgroupOwners(), CgroupOwners()
    before.update(named(tree), now=0)
    after.restore(json.loads(before.dump()), now=0)
    after.update({}, now=1)

    assert named(tree)[id_of(tmp_path, CONTAINER)] == after.get(id_of(tmp_path, CONTAINER))


@pytest.mark.parametrize("item", [{}, {"id": "x", "kind": "pod", "path": "/"}, {"id": 1}, {"id": 1, "kind": "pod"}])
def test_an_invalid_item_of_a_checkpoint_is_left_out(item: dict[str, object]) -> None:
    """The other items are restored."""
    index = CgroupOwners()
    index.restore([item, {"id": 2, "kind": "pod", "path": "/x", "of the future": True}], now=0)

    assert index.get(1) is None
    assert Owner("pod", "/x") == index.get(2)


def test_tombstones_are_bounded() -> None:
    """The oldest are removed first, and all after half an hour."""
    index = CgroupOwners()
    index.update({each: Owner("pod", "/x") for each in range(TOMBSTONES + 10)}, now=0)
    index.update({}, now=1)
    known = [each for each in range(TOMBSTONES + 10) if index.get(each)]
    index.update({}, now=2 + TOMBSTONE_SECONDS)

    assert list(range(10, TOMBSTONES + 10)) == known
    assert not any(index.get(each) for each in known)


def test_old_tombstones_are_removed_while_the_bound_holds() -> None:
    """Age and number are both limited in one update."""
    index = CgroupOwners()
    index.update({each: Owner("pod", "/x") for each in range(5)}, now=0)
    index.update({each: Owner("pod", "/x") for each in range(10, TOMBSTONES + 20)}, now=1)
    index.update({}, now=TOMBSTONE_SECONDS + 2)

    assert TOMBSTONES == len([each for each in range(TOMBSTONES + 20) if index.get(each)])


def test_owners_of_an_unchanged_pod_are_not_made_again(tree: Tree) -> None:
    """One of 110 pods changes at a time, and the update has to be quick because a kill can come at any time."""
    pods, owners = [pod()], OwnerFinder()
    assignments = resolve((), (), pods)
    before = owners.of(tree, pods, assignments, Defaults())
    after = owners.of(tree, pods, assignments, Defaults())

    (cgroup,) = tree.pods.values()
    ids = [cgroup.id, *(each.id for each in cgroup.containers.values())]
    assert all(before[each] is after[each] for each in ids)


def test_every_change_of_a_pod_changes_its_owners(tmp_path: Path, tree: Tree) -> None:
    """This holds for its priority, its object and its cgroups."""
    pods, owners = [pod()], OwnerFinder()
    found = [owners.of(tree, pods, resolve((), (), pods), Defaults())]
    higher = [replace(each, priority=900, containers=()) for each in resolve((), (), pods)]
    found.append(owners.of(tree, pods, higher, Defaults()))
    found.append(owners.of(tree, [replace(pods[0], name="other")], higher, Defaults()))
    found.append(owners.of(tree, [], higher, Defaults()))
    make(tmp_path, f"{SYSTEMD}/cri-containerd-{'f' * 64}.scope")
    found.append(owners.of(tree_of(tmp_path), [], higher, Defaults()))

    (cgroup,) = tree.pods.values()
    assert ([500, 900, 900, 900, 900], ["web-0", "web-0", "other", "", ""]) == (
        [each[cgroup.id].priority for each in found],
        [each[cgroup.id].pod for each in found],
    )
    assert len(found[3]) + 1 == len(found[4])

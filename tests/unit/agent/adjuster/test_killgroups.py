# SPDX-License-Identifier: Apache-2.0
"""memory.oom.group follows the request, and an adjuster that is killed at any moment loses no original value."""

from __future__ import annotations

import errno
import os
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oompolicy_agent.adjuster import originals
from oompolicy_agent.adjuster.killgroups import GroupValues, KillGroups, changes
from oompolicy_agent.adjuster.oomgroup import OomGroups
from oompolicy_agent.adjuster.originals import OriginalsError
from oompolicy_agent.mapping.cgroups import CgroupDir, Tree, scan

if TYPE_CHECKING:
    from collections.abc import Mapping

BOOT = "5d4e7f0c"
POD = "kubepods/burstable/pod0cf04643-bc8f-41cc-8570-f0ae38ab242e"
APP, SIDECAR = f"{POD}/{'a' * 64}", f"{POD}/{'b' * 64}"
VALUES = st.dictionaries(st.integers(1, 6), st.booleans())


class CrashError(Exception):
    """The adjuster was killed here."""


class Node:
    """A cgroup tree in a folder, as the kubelet leaves it: the containers die as a whole, and the pod does not."""

    def __init__(self, folder: Path) -> None:
        self.root, self.state = folder / "cgroup", folder / "killgroups.json"
        for path, value in (("kubepods", 0), ("kubepods/burstable", 0), (POD, 0), (APP, 1), (SIDECAR, 1)):
            (self.root / path).mkdir(parents=True)
            self.file(path).write_text(f"{value}\n")

    def file(self, path: str) -> Path:
        return self.root / path / "memory.oom.group"

    def id(self, path: str) -> int:
        return (self.root / path).stat().st_ino

    def values(self, *paths: str) -> str:
        """Return the values of the pod, the application and the sidecar, such as `011`."""
        return "".join(self.file(path).read_text().strip() for path in paths or (POD, APP, SIDECAR))

    @property
    def tree(self) -> Tree:
        return scan(self.root, check=lambda _: True)

    def adjuster(self, files: OomGroups | None = None, boot: str = BOOT) -> KillGroups:
        """Start an adjuster, as after a crash."""
        return KillGroups(GroupValues(self.state, boot), files or OomGroups())

    def request(self, **values: bool) -> dict[int, bool]:
        paths = {"pod": POD, "app": APP, "sidecar": SIDECAR, "slice": "kubepods/burstable", "root": "kubepods"}
        return {self.id(paths[name]): value for name, value in values.items()}


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_the_values_follow_the_request_and_come_back(node: Node) -> None:
    """A cgroup that leaves the request has its own value again, and the file forgets it."""
    adjuster = node.adjuster()

    assert 1 == adjuster.bring(node.tree, node.request(pod=True, app=True))
    assert "111" == node.values()
    assert 1 == adjuster.bring(node.tree, node.request(pod=True, app=False))
    assert "101" == node.values()
    assert {node.id(POD): False, node.id(APP): True} == node.adjuster().known
    assert 1 == adjuster.bring(node.tree, node.request(app=False))
    assert "001" == node.values()
    assert {node.id(APP): True} == node.adjuster().known
    assert 1 == adjuster.bring(node.tree, {})
    assert "011" == node.values()
    assert {} == node.adjuster().known


def test_a_value_in_force_is_neither_written_nor_remembered(node: Node) -> None:
    assert 0 == node.adjuster().bring(node.tree, node.request(pod=False, app=True, sidecar=True))
    assert not node.state.exists()


def test_slices_and_kubepods_are_never_written(node: Node) -> None:
    """A wrong request must not make all pods die at once."""
    assert 0 == node.adjuster().bring(node.tree, node.request(root=True, slice=True) | {4711: True})
    assert "00" == node.values("kubepods", "kubepods/burstable")


def test_a_value_that_somebody_else_set_meanwhile_is_set_again(node: Node) -> None:
    """The original value stays that of the first time."""
    adjuster = node.adjuster()
    adjuster.bring(node.tree, node.request(app=False))
    node.file(APP).write_text("1\n")

    assert 1 == adjuster.bring(node.tree, node.request(app=False))
    assert "001" == node.values()
    adjuster.bring(node.tree, {})
    assert "011" == node.values()


def test_a_cgroup_that_vanishes_is_no_error(node: Node) -> None:
    """It vanishes before the read, or between read and write. The next time, the file forgets it."""

    class Vanishing(OomGroups):
        def write(self, cgroup: CgroupDir, value: bool, /) -> bool:
            node.file(APP).unlink()
            Path(cgroup.path).rmdir()
            return super().write(cgroup, value)

    tree = node.tree
    node.file(SIDECAR).unlink()
    (node.root / SIDECAR).rmdir()
    adjuster = node.adjuster(Vanishing())

    assert 0 == adjuster.bring(tree, {each.id: False for each in next(iter(tree.pods.values())).containers.values()})
    assert frozenset() == adjuster.errors
    adjuster.bring(node.tree, {})
    assert {} == adjuster.known == node.adjuster().known


def test_another_cgroup_of_the_same_path_is_not_touched(node: Node) -> None:
    """The id is compared after the folder is opened."""
    cgroup = CgroupDir(node.id(APP) + 1, str(node.root / APP))
    files = OomGroups()

    assert files.read(cgroup) is None
    assert not files.write(cgroup, False)
    assert "011" == node.values()
    assert not files.errors


def test_a_failed_access_is_counted_and_keeps_the_original_value(node: Node) -> None:
    """A cgroup without the memory controller has no such file."""
    adjuster = node.adjuster()
    adjuster.bring(node.tree, node.request(app=False, pod=True))
    node.file(APP).unlink()
    adjuster.bring(node.tree, {})

    assert {"ENOENT"} == adjuster.errors
    assert "01" == node.values(POD, SIDECAR)
    assert {node.id(APP): True} == adjuster.known == node.adjuster().known


def test_a_write_that_fails_keeps_the_original_value(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tree may be mounted read-only."""
    adjuster = node.adjuster()
    adjuster.bring(node.tree, node.request(app=False))
    opened = os.open

    def read_only(path: str, flags: int, *more: object, **keys: object) -> int:
        if path == "memory.oom.group" and flags & os.O_WRONLY:
            raise OSError(errno.EROFS, "Read-only file system")
        return opened(path, flags, *more, **keys)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", read_only)
        adjuster.bring(node.tree, node.request(pod=True))

    assert {"EROFS"} == adjuster.errors
    assert "001" == node.values()
    assert {node.id(APP): True, node.id(POD): False} == adjuster.known


def test_nothing_is_replaced_while_original_values_cannot_be_written(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values that are no longer wanted are restored all the same, also with a full disk."""
    adjuster = node.adjuster()
    adjuster.bring(node.tree, node.request(app=False))

    def full(_path: Path, _data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(originals, "write_atomic", full)
        with pytest.raises(OSError, match="No space left"):
            adjuster.bring(node.tree, node.request(sidecar=False, pod=True))

        assert "011" == node.values()
    adjuster.bring(node.tree, node.request(app=False))
    assert {node.id(APP): True} == node.adjuster().known


def test_another_boot_has_other_cgroups(node: Node) -> None:
    node.adjuster().bring(node.tree, node.request(app=False))

    assert {} == node.adjuster(boot="other").known


@pytest.mark.parametrize("text", ["", "[]", '{"version": 1, "bootId": "5d4e7f0c", "cgroups": {"7": 1}}'])
def test_a_damaged_file_is_an_error(node: Node, text: str) -> None:
    """The message says what the owner of the node can do."""
    node.state.write_text(text)

    with pytest.raises(OriginalsError, match=r"so no memory\.oom\.group is written or restored; delete the file"):
        node.adjuster()


@given(found=VALUES, wanted=VALUES, known=VALUES)
def test_a_change_is_for_a_value_that_differs(
    found: Mapping[int, bool], wanted: Mapping[int, bool], known: Mapping[int, bool]
) -> None:
    """Each cgroup ends with the wanted value, or else with its original one. What is replaced is remembered first."""
    todo = changes(found, wanted, known)
    after = {**found, **todo.restored, **todo.asked}

    assert after == {cgroup: {**found, **known, **wanted}[cgroup] for cgroup in found}
    assert all(after[cgroup] != found[cgroup] for cgroup in {**todo.restored, **todo.asked})
    assert todo.originals == {cgroup: {**found, **known}[cgroup] for cgroup in todo.asked}


class Crashing(OomGroups):
    """Files whose writer is killed before or after one of its steps."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def write(self, cgroup: CgroupDir, value: bool, /) -> bool:
        self.point()
        super().write(cgroup, value)
        self.point()
        return True

    def write_atomic(self, path: Path, data: bytes) -> None:
        """Replace a file. A crash leaves the earlier file, half of a temporary one, or the new file."""
        temporary = path.with_suffix(".tmp")
        self.point()
        temporary.write_bytes(data[: len(data) // 2])
        self.point()
        temporary.write_bytes(data)
        temporary.replace(path)
        self.point()

    def point(self) -> None:
        self.steps -= 1
        if self.steps < 0:
            raise CrashError


def test_a_crash_at_any_moment_loses_no_original_value() -> None:
    """A request, another one and the end of both are cut after each step. The next adjuster restores every value."""
    crashed = True
    for steps in count():
        if not crashed:
            break
        with TemporaryDirectory() as folder:
            node = Node(Path(folder))
            files = Crashing(steps)
            crashed = False
            try:
                with mock.patch.object(originals, "write_atomic", files.write_atomic):
                    adjuster = node.adjuster(files)
                    adjuster.bring(node.tree, node.request(pod=True, app=False))
                    adjuster.bring(node.tree, node.request(app=True, sidecar=False))
                    adjuster.bring(node.tree, {})
            except CrashError:
                crashed = True
            node.adjuster().bring(node.tree, {})

            assert "011" == node.values(), f"after {steps} steps"
            assert {} == node.adjuster().known
    assert steps > 20

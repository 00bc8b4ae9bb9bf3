# SPDX-License-Identifier: Apache-2.0
"""A look finds the groups of pods with the priority of the nearest entry, and leaves protected processes alone."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from oompolicy_agent.adjuster import look, memory
from oompolicy_agent.adjuster.badness import Span
from oompolicy_agent.adjuster.group import Group, Process, ProcessId
from oompolicy_agent.adjuster.memory import Memory
from oompolicy_agent.adjuster.processes import Processes
from oompolicy_agent.adjuster.wanted import Wanted
from oompolicy_agent.mapping.cgroupwalk import MOST_CGROUPS

if TYPE_CHECKING:
    from collections.abc import Iterable, Set
    from pathlib import Path

    from oompolicy_agent.adjuster.look import Look

HOST = 1000
TOTAL = 262_144


class FakeProcesses(Processes):
    """The processes of this object, by pid, in place of those of the machine."""

    def __init__(self) -> None:
        super().__init__()
        self.all: dict[int, Process] = {}
        self.paths: dict[int, str] = {}

    def read(self, pids: Iterable[int]) -> list[Process]:
        return sorted((self.all[pid] for pid in pids if pid in self.all), key=lambda each: each.id.start)

    def all_pids(self) -> list[int]:
        return list(self.all)

    def is_in(self, process: Process, cgroups: Set[str]) -> bool:
        return any(name in cgroups for name in self.paths.get(process.id.pid, "").split("/"))


class Tree:
    """A cgroup tree in a folder. The id of a cgroup is the inode number of its folder, as in the kernel."""

    def __init__(self, root: Path) -> None:
        self.root, self.processes = root, FakeProcesses()

    def cgroup(self, path: str, **scores: int) -> int:
        """Make a cgroup with processes p1, p2 and so on. Return its id."""
        folder = self.root / path
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cgroup.procs").write_text("".join(f"{name[1:]}\n" for name in scores))
        for name, score in scores.items():
            self.start(int(name[1:]), score)
        return folder.stat().st_ino

    def start(self, pid: int, score: int, usage: int = 100) -> None:
        self.processes.all[pid] = Process(ProcessId(pid, pid), 1, score, usage)

    def look(self, entries: dict[int, int], most: int | None = MOST_CGROUPS) -> Look:
        return look.take(self.root, self.processes, Wanted("Enforce", HOST, entries), most)

    def group(self, cgroup: int, priority: int, *pids: int) -> Group:
        return Group(cgroup, priority, tuple(self.processes.all[pid] for pid in pids))


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    monkeypatch.setattr(memory, "of_node", lambda: Memory(TOTAL, TOTAL // 2))
    return Tree(tmp_path)


def test_the_nearest_entry_is_the_priority_of_a_group(tree: Tree) -> None:
    """The slice's entry counts for a new pod, and the container's own one before the pod's."""
    best_effort = tree.cgroup("kubepods/besteffort")
    pod = tree.cgroup("kubepods/besteffort/pod1")
    own = tree.cgroup("kubepods/besteffort/pod1/a", p10=5)
    nested = tree.cgroup("kubepods/besteffort/pod1/a/deep/er", p11=5)
    of_pod = tree.cgroup("kubepods/besteffort/pod1/b", p12=5)
    new = tree.cgroup("kubepods/besteffort/pod2/c", p13=5)
    found = tree.look({best_effort: 200, pod: 300, own: 400})

    assert {
        tree.group(own, 400, 10),
        tree.group(nested, 400, 11),
        tree.group(of_pod, 300, 12),
        tree.group(new, 200, 13),
    } == set(found.wanted)
    assert () == found.others


def test_entries_outside_of_pods_have_no_effect(tree: Tree) -> None:
    """The writer of the request cannot reach a host process."""
    service = tree.cgroup("system.slice/sshd.service", p10=0)
    top = tree.root.stat().st_ino
    pods = tree.cgroup("kubepods/pod1/a", p11=5)
    found = tree.look({service: 0, top: 0})

    assert () == found.wanted
    assert (tree.group(pods, HOST, 11),) == found.others


def test_protected_processes_are_in_no_group(tree: Tree) -> None:
    """The other processes of the same cgroup are in its group, also if the oldest process is protected."""
    tree.cgroup("kubepods/pod1/sandbox", p10=-998)
    tree.cgroup("kubepods/pod1/kubelet", p12=-999)
    mixed = tree.cgroup("kubepods/pod1/a", p13=-1000, p14=5, p15=-998)
    found = tree.look({tree.cgroup("kubepods"): 100})

    assert (tree.group(mixed, 100, 14),) == found.wanted


def test_a_pid_that_left_the_cgroup_while_it_was_read_is_left_out(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel may use the pid again for a host process between the list and the read."""
    cgroup = tree.cgroup("kubepods/pod1/a", p10=5, p11=5)
    read = tree.processes.read

    def read_and_end(pids: Iterable[int]) -> list[Process]:
        found = read(pids)
        (tree.root / "kubepods/pod1/a/cgroup.procs").write_text("10\n")
        return found

    monkeypatch.setattr(tree.processes, "read", read_and_end)
    found = tree.look({cgroup: 100})

    assert (tree.group(cgroup, 100, 10),) == found.wanted


def test_a_process_of_another_pid_namespace_is_an_error(tree: Tree) -> None:
    """An adjuster without the node's pids sees no process of a pod. It must not look like a node without pods."""
    cgroup = tree.cgroup("kubepods/pod1/a")
    (tree.root / "kubepods/pod1/a/cgroup.procs").write_text("0\n0\n")
    found = tree.look({cgroup: 100})

    assert () == found.wanted
    assert {"hidden": 2} == tree.processes.errors


def test_the_node_has_the_span_of_all_processes_without_a_score(tree: Tree) -> None:
    """Protected processes do not count, and neither do those that get a score."""
    tree.start(1, 0, 5000)
    tree.start(2, -900, 10)
    tree.start(3, -999, 90_000)
    cgroup = tree.cgroup("kubepods/pod1/a", p10=1000)
    (node,) = tree.look({cgroup: 100}).scopes

    assert ("Node", TOTAL, Span(-900 * 262 + 10, 5000)) == (node.name, node.total, node.host)


def test_a_limit_of_all_pods_is_a_scope_of_its_own(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """Host processes are not in it, but pods without an entry are. A process that starts is in both."""
    monkeypatch.setattr(memory, "of_cgroup", lambda _: Memory(200_000, 1))
    tree.start(1, 0, 5000)
    cgroup = tree.cgroup("kubepods/pod1/a", p10=1000)
    tree.cgroup("kubepods/pod2/b", p11=3)
    node, pods = tree.look({cgroup: 100}).scopes

    assert Span(0, 5000) == node.host
    assert ("Kubepods", 200_000, Span(0, 700)) == (pods.name, pods.total, pods.host)


def test_all_cgroups_of_pods_are_known(tree: Tree) -> None:
    """A cgroup without a process keeps its original value, and one that is gone does not."""
    empty = tree.cgroup("kubepods/pod1/a")
    found = tree.look({})

    assert {empty, tree.cgroup("kubepods"), tree.cgroup("kubepods/pod1")} == found.cgroups
    assert (str(tree.root / "kubepods"),) == found.roots


class Nested:
    """A chain of cgroups below a folder. Their paths together may be too long for a call of the kernel."""

    def __init__(self, tree: Tree, above: str, name: str, depth: int) -> None:
        self._fds = [os.open(tree.root / above, os.O_RDONLY)]
        self._name = name
        for _ in range(depth):
            os.mkdir(name, dir_fd=self._fds[-1])
            self._fds.append(os.open(name, os.O_RDONLY, dir_fd=self._fds[-1]))
        self.id = os.fstat(self._fds[-1]).st_ino

    def run(self, pid: int) -> None:
        """Let a process run in the deepest cgroup."""
        with open("cgroup.procs", "w", opener=lambda name, flags: os.open(name, flags, dir_fd=self._fds[-1])) as file:
            file.write(f"{pid}\n")

    def remove(self) -> None:
        """Remove them all. shutil.rmtree(), with which pytest cleans up, calls itself for each level."""
        with suppress(FileNotFoundError):
            os.unlink("cgroup.procs", dir_fd=self._fds[-1])
        while len(self._fds) > 1:
            os.close(self._fds.pop())
            os.rmdir(self._name, dir_fd=self._fds[-1])
        os.close(self._fds.pop())


@pytest.mark.parametrize(("name", "depth"), [("n", 1100), ("n" * 250, 40)])
def test_every_nested_cgroup_is_read(tree: Tree, name: str, depth: int) -> None:
    """A workload that may create cgroups cannot end the adjuster: by calls of functions, or by the length of a path."""
    top = tree.cgroup("kubepods/pod1/a")
    other = tree.cgroup("kubepods/pod2/b", p11=5)
    tree.start(10, 5)
    nested = Nested(tree, "kubepods/pod1/a", name, depth)
    try:
        nested.run(10)
        found = tree.look({top: 300, other: 200})
    finally:
        nested.remove()

    assert {tree.group(nested.id, 300, 10), tree.group(other, 200, 11)} == set(found.wanted)
    assert found.complete


def test_a_pod_with_too_many_cgroups_costs_no_other_pod_its_score(tree: Tree) -> None:
    """All containers of the pod are read before the cgroups in them, and the look says which pod is not complete."""
    crowded = tree.cgroup("kubepods/burstable/pod1/a", p10=5)
    for number in range(50):
        tree.cgroup(f"kubepods/burstable/pod1/a/n{number}", **{f"p{100 + number}": 5})
    beside = tree.cgroup("kubepods/burstable/pod1/b", p11=5)
    others = [tree.cgroup(f"kubepods/burstable/pod{number}/a", **{f"p{number}": 5}) for number in (2, 3)]
    found = tree.look({tree.cgroup("kubepods"): 300}, most=20)

    assert {crowded, beside, *others} < {group.cgroup for group in found.wanted}
    assert 3 + 20 - 1 == len(found.wanted)
    assert (("pod1",), False) == (found.crowded, found.complete)


def test_all_cgroups_are_read_without_a_limit(tree: Tree) -> None:
    """The look of `--restore` has to find every process with a score."""
    for number in range(50):
        tree.cgroup(f"kubepods/pod1/a/n{number}", **{f"p{100 + number}": 5})
    found = tree.look({}, most=None)

    assert (50, ()) == (len(found.others), found.crowded)


def test_processes_that_a_look_leaves_out_are_not_host_processes(tree: Tree) -> None:
    """A pod with too many cgroups would otherwise take the place of the host in the order of the other pods."""
    tree.cgroup("kubepods/pod1/a")
    for number in range(5):
        tree.cgroup(f"kubepods/pod1/a/n{number}", **{f"p{100 + number}": 1000})
    tree.processes.paths = {100 + number: f"/kubepods/pod1/a/n{number}" for number in range(5)}
    tree.start(1, 0, 5000)
    found = tree.look({tree.cgroup("kubepods"): 300}, most=1)

    assert Span(0, 5000) == found.scopes[0].host
    assert {100, 101, 102, 103, 104} < {each.id.pid for each in found.host}


def test_an_error_in_a_pod_costs_no_other_pod_its_score(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error above the pods is one of the whole look."""
    open_, fails = os.open, "n"

    def fail(name: str, flags: int, *rest: int, dir_fd: int | None = None) -> int:
        if name == fails:
            raise OSError(errno.EIO, "Input/output error", name)
        return open_(name, flags, *rest, dir_fd=dir_fd)

    tree.cgroup("kubepods/pod1/a/n", p10=5)
    other = tree.cgroup("kubepods/pod2/b", p11=5)
    monkeypatch.setattr(os, "open", fail)
    found = tree.look({other: 200})

    assert (tree.group(other, 200, 11),) == found.wanted
    assert not found.complete
    assert 1 == tree.processes.errors["EIO"]
    fails = str(tree.root / "kubepods")
    with pytest.raises(OSError, match="Input/output error"):
        tree.look({other: 200})

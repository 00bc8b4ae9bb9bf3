# SPDX-License-Identifier: Apache-2.0
"""A look finds the groups of pods with the priority of the nearest entry, and leaves protected processes alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from oompolicy_agent.adjuster import look, memory
from oompolicy_agent.adjuster.badness import Span
from oompolicy_agent.adjuster.group import Group, Process, ProcessId
from oompolicy_agent.adjuster.memory import Memory
from oompolicy_agent.adjuster.processes import Processes
from oompolicy_agent.adjuster.wanted import Wanted

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from oompolicy_agent.adjuster.look import Look

HOST = 1000
TOTAL = 262_144


class FakeProcesses(Processes):
    """The processes of this object, by pid, in place of those of the machine."""

    def __init__(self) -> None:
        super().__init__()
        self.all: dict[int, Process] = {}

    def read(self, pids: Iterable[int]) -> list[Process]:
        return sorted((self.all[pid] for pid in pids if pid in self.all), key=lambda each: each.id.start)

    def all_pids(self) -> list[int]:
        return list(self.all)


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

    def look(self, entries: dict[int, int]) -> Look:
        return look.take(self.root, self.processes, Wanted("Enforce", HOST, entries))

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


def test_more_nested_cgroups_than_calls_of_functions_are_read(tree: Tree) -> None:
    """A workload that may create cgroups cannot end the adjuster."""
    top, folder = tree.cgroup("kubepods/pod1/a"), tree.root / "kubepods/pod1/a"
    for _ in range(1100):
        folder = folder / "n"
        folder.mkdir()
    (folder / "cgroup.procs").write_text("10\n")
    tree.start(10, 5)
    try:
        found = tree.look({top: 300}).wanted
        number = folder.stat().st_ino
    finally:
        # shutil.rmtree(), with which pytest cleans up, calls itself for each level.
        (folder / "cgroup.procs").unlink()
        while folder.name == "n":
            folder.rmdir()
            folder = folder.parent

    assert (Group(number, 300, (tree.processes.all[10],)),) == found

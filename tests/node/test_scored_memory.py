# SPDX-License-Identifier: Apache-2.0
"""Scores keep the order for each kind of memory and of process: swapped, shared, replaced by exec, and very many."""

from __future__ import annotations

import subprocess
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.node.hog import PROGRAM, Hog, run_out_of_memory
from tests.node.model import HOST_PRIORITY, PAGE
from tests.node.running_adjuster import LookedAt, Scores, is_ordered, score
from tests.node.running_agent import wait_until
from tests.node.test_order import cgroup_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.node.cgroup import Cgroup
    from tests.node.machine import Node
    from tests.node.running_adjuster import RunningAdjuster

pytestmark = [pytest.mark.scores, pytest.mark.once]

LIMIT_MIB = 64
SWAP_MIB = 24
BIG_MIB = 30
OTHERS = 10
"""The containers of higher priorities. The more levels, the smaller the margin, and the sooner a wrong size shows."""


@pytest.fixture(autouse=True)
def _bare(bare: None) -> None:
    assert bare is None


@pytest.mark.parametrize("memory", ["shared", "swapped", "swap is there and not used"])
def test_the_kernel_and_the_adjuster_count_the_same_memory(node: Node, tmp_path: Path, memory: str) -> None:
    """A container of 2 MiB with the lowest priority dies before one of 30 MiB with the next one.

    The margin is a fourth of the 30 MiB, so a process that seemed smaller to the adjuster would die first. With
    vm.swappiness 0 the kernel leaves the swap out of the total of a limit, so the same score moves a process less.
    """
    names = ("trigger", "low", "big", *map(str, range(OTHERS)))
    trigger, low, big, *others = [node.cgroup(f"kubepods/pod-{name}/container") for name in names]
    kubepods = node.cgroup("kubepods", memory__max=LIMIT_MIB << 20)
    if memory != "shared":
        node.swap(64)
        kubepods.write("memory.swap.max", SWAP_MIB << 20)
    hogs = [node.hog(big, BIG_MIB, options=["--shared"] if memory == "shared" else [])]
    if memory == "swapped":
        big.swap_out((SWAP_MIB - 2) << 20)
    elif memory != "shared":
        node.sysctl("vm.swappiness", 0)
    hogs += [node.hog(low, 2), *(node.hog(cgroup, 1) for cgroup in others)]
    with closing(Scores(tmp_path, "Kubepods")) as scores:
        scores.set({trigger: HOST_PRIORITY, low: 50, big: 100})
        scores.set({cgroup: 200 + number for number, cgroup in enumerate(others)})
        dead = run_out_of_memory(node.adopt(LookedAt(scores, trigger, 0)), hogs)

    assert hogs[1] is dead[0]


class Shell(Hog):
    """A shell in a container. `replace` makes it the workload, as the script of an image does with its last line."""

    def __init__(self, cgroup: Cgroup, mib: int, adj: int) -> None:
        self.mib, self.cgroup = mib, cgroup
        script = 'echo 0 >"$0/cgroup.procs"; echo $1 >/proc/self/oom_score_adj; echo ready; read -r _; exec "$2" "$3"'
        words = [str(cgroup.path), str(adj), str(PROGRAM), str(mib)]
        command = ["sh", "-c", script, *words]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self._expect("ready")

    def replace(self) -> None:
        self._send("")
        self._expect("ready")


def test_processes_of_exec_in_the_middle_of_a_storm_get_the_score_of_their_container(
    node: Node, adjuster: RunningAdjuster
) -> None:
    """One process replaces itself, and `kubectl exec` starts another with the kubelet's value.

    Both have the score of their container at the next look, and the kernel kills the larger of them next. In the mode
    Off the other one has the kubelet's value again.
    """
    node.cgroup("kubepods", memory__max=LIMIT_MIB << 20)
    low, high = (node.cgroup(f"kubepods/pod-{name}/container") for name in ("low", "high"))
    trigger = node.cgroup("kubepods/pod-trigger/container")
    first, spared = node.hog(low, 10, adj=5), node.hog(high, 14, adj=1000)
    shell = node.adopt(Shell(low, 6, 5))
    wanted = {low: 100, high: 500, trigger: HOST_PRIORITY}
    adjuster.want("Enforce", wanted)
    adjuster.start()
    pages = (LIMIT_MIB << 20) // PAGE
    wait_until("the order", lambda: is_ordered([first, shell, spared], pages))
    storm = node.hog(trigger, 0)
    assert first is run_out_of_memory(storm, [first, shell, spared])[0]
    storm.end()
    before = score(shell.pid)
    shell.replace()
    late = node.hog(low, 12, adj=5)

    assert before == score(shell.pid) != 5
    wait_until("the order", partial(is_ordered, [late, shell, spared], pages))
    assert score(late.pid) == score(shell.pid)
    assert late is run_out_of_memory(node.hog(trigger, 0), [late, shell, spared])[0]
    adjuster.want("Off", wanted)
    wait_until("the kubelet's values", lambda: [score(each.pid) for each in (shell, spared)] == [5, 1000])


def test_all_processes_of_a_container_with_500_are_scored_and_restored(node: Node, adjuster: RunningAdjuster) -> None:
    """The container outlives one of a lower priority, and each of its processes has the kubelet's value again."""
    node.cgroup("kubepods", memory__max=300 << 20)
    crowd = node.hog(node.cgroup("kubepods/pod-crowd/container"), 4, adj=700, options=["--crowd", "500"])
    low = node.hog(node.cgroup("kubepods/pod-low/container"), 2, adj=-997)
    trigger = node.cgroup("kubepods/pod-trigger/container")
    members = cgroup_of(crowd).pids()
    wanted = {cgroup_of(crowd): 900, cgroup_of(low): 100, trigger: HOST_PRIORITY}
    adjuster.want("Enforce", wanted)
    adjuster.start()
    wait_until("one score", lambda: {score(crowd.pid)} == set(map(score, members)) != {700})

    assert 501 == len(members)
    assert low is run_out_of_memory(node.hog(trigger, 0), [low])[0]
    adjuster.want("Off", wanted)
    wait_until("the kubelet's values", lambda: {700} == set(map(score, members)))
    assert members == cgroup_of(crowd).pids()

# SPDX-License-Identifier: Apache-2.0
"""The witness beside the policy: it sees the answers of the program, and which process died for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from oompolicy_agent.kernel.layout import KernelMode
from tests.node import in_process
from tests.node import policy as attached
from tests.node.hog import run_out_of_memory
from tests.node.policy import STOCK, Policy
from tests.node.test_order import cgroup_of
from tests.node.witness import Witness, pids, task_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.node.conftest import Pod
    from tests.node.machine import Node


@pytest.fixture(scope="module")
def witness() -> Iterator[Witness]:
    """Yield a witness that started after the loader. It starts once, because bcc compiles for seconds."""
    if not attached.is_attached():
        in_process.attach()
    witness = Witness()
    yield witness
    assert 0 == witness.end()


@pytest.mark.parametrize(("priorities", "victim"), [((100, 200), 0), ((200, 100), 1), ((150, 150), 1)])
def test_the_witness_sees_the_victim_of_the_policy(
    witness: Witness, pod: Pod, policy: Policy, priorities: tuple[int, int], victim: int
) -> None:
    """In Enforce the process that dies has the lowest priority of all tasks, and the program selected it."""
    hogs = [pod.hog("small", 12), pod.hog("big", 34)]
    policy.set(dict(zip(map(cgroup_of, hogs), priorities, strict=True)))

    assert hogs[victim] is pod.first_victim()
    oom = witness.oom_of(hogs[victim])
    assert "Enforce" == oom["mode"]
    assert [hogs[victim].pid] == pids(oom["killed"])
    assert hogs[victim].pid == oom["chosen"]["pid"]
    assert list(priorities) == [task_of(oom, hog)["priority"] for hog in hogs]
    assert min(task["priority"] for task in oom["tasks"]) == task_of(oom, hogs[victim])["priority"]
    (trigger,) = [task for task in oom["tasks"] if task["pid"] == oom["trigger"]["pid"]]
    assert (1000, "HostPriority") == (trigger["priority"], trigger["prioritySource"])


def test_each_answer_has_its_verdict(witness: Witness, pod: Pod, policy: Policy) -> None:
    """SELECT makes a task the best so far, NEXT passes over it, and the best so far at the end is the one that dies."""
    priorities = [500, 300, 700, 100, 900]
    hogs = [pod.hog(f"c{index}", 9) for index in range(len(priorities))]
    policy.set(dict(zip(map(cgroup_of, hogs), priorities, strict=True)))

    assert hogs[3] is pod.first_victim()
    oom = witness.oom_of(hogs[3])
    verdicts = {"SELECT": "BestSoFar", "NEXT": "PassedOver"}
    answered = [task for task in oom["tasks"] if task["answer"] in verdicts]
    assert {"SELECT", "NEXT"} == {task["answer"] for task in answered}
    assert all(verdicts[task["answer"]] == task["verdict"] for task in answered)
    assert [task for task in oom["tasks"] if task["verdict"] == "BestSoFar"][-1]["pid"] == hogs[3].pid
    # Every task has a badness: the kernel's, or the tool's where the program answered before the kernel measured.
    assert all(task["badness"] is not None for task in oom["tasks"])


def test_audit_answers_nothing_and_the_kernels_choice_dies(witness: Witness, pod: Pod, policy: Policy) -> None:
    """In Audit each answer is NO_BPF_POLICY, and the process with the largest badness dies against its priority."""
    hogs = [pod.hog("small", 12), pod.hog("big", 34)]
    policy.set(dict(zip(map(cgroup_of, hogs), (100, 200), strict=True)))
    policy.set_mode(KernelMode.AUDIT)

    assert hogs[1] is pod.first_victim()
    oom = witness.oom_of(hogs[1])
    assert "Audit" == oom["mode"]
    assert {"NO_BPF_POLICY"} == {task["answer"] for task in oom["tasks"]}
    assert max(oom["tasks"], key=lambda task: task["badness"])["pid"] == hogs[1].pid


def test_the_witness_sees_an_oom_of_the_whole_node(witness: Witness, node: Node, policy: Policy) -> None:
    """If the node itself is out of memory, the small process of the lower priority dies, and no host process."""
    hogs = [node.hog(node.cgroup("pods/small"), 20), node.hog(node.cgroup("pods/big"), 50)]
    policy.set(dict(zip(map(cgroup_of, hogs), (100, 200), strict=True)))
    node.fill()

    assert hogs[0] is run_out_of_memory(node.hog(node.cgroup("host"), 0), hogs)[0]
    oom = witness.oom_of(hogs[0])
    assert {"type": "Node"} == oom["scope"]
    assert 100 == oom["chosen"]["priority"]
    assert 100 == min(task["priority"] for task in oom["tasks"])


@pytest.mark.once
@pytest.mark.module
def test_it_does_not_stand_in_the_way_of_the_loader(pod: Pod) -> None:
    """A loader attaches and detaches while the tool watches the functions that the module redirects."""
    attached.detach()
    first = Witness()
    attached.attach()
    policy = Policy()
    policy.clear()
    policy.set_mode(KernelMode.ENFORCE)
    hogs = [pod.hog("small", 12), pod.hog("big", 34)]
    policy.set(dict(zip(map(cgroup_of, hogs), (100, 200), strict=True)))

    assert hogs[0] is pod.first_victim()
    oom = first.oom_of(hogs[0])
    assert oom["mapsReplaced"]
    assert "PassedOver" == task_of(oom, hogs[1])["verdict"]
    second = Witness()
    assert "bpf_oom_evaluate_task" in second.attached()
    policy.close()
    attached.detach()
    assert (0, 0) == (first.end(), second.end())
    assert STOCK

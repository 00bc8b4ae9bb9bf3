# SPDX-License-Identifier: Apache-2.0
"""The effect of each answer that a program can give on the hook. Our own program never gives some of them."""

from __future__ import annotations

from contextlib import closing
from itertools import permutations
from typing import TYPE_CHECKING

import pytest

from tests.node import answers as other_policy
from tests.node.answers import Answers, Verdict
from tests.node.hog import KernelLog, oom_kills, run_out_of_memory
from tests.node.policy import STOCK
from tests.node.running_agent import wait_until
from tests.node.test_dying import SYSRQ, Spinner, move_reaper_to_cpu_1, occupy_cpu_1

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.node.conftest import Pod
    from tests.node.hog import Hog
    from tests.node.machine import Node

ABORT, NEXT, SELECT = Verdict.BPF_EVAL_ABORT, Verdict.BPF_EVAL_NEXT, Verdict.BPF_EVAL_SELECT
ORDERS = list(permutations(range(3)))
"""The orders in which the test makes the cgroups. The scan of a limit follows the same order."""


@pytest.fixture(scope="module")
def _other_policy() -> Iterator[None]:
    other_policy.attach()
    yield
    other_policy.detach()


@pytest.fixture
def answers(_other_policy: None) -> Iterator[Answers]:
    """Yield the other policy, attached and without answers."""
    with Answers() as answers:
        yield answers
        answers.clear()


def hogs(pod: Pod, mib: tuple[int, ...], order: tuple[int, ...], adj: tuple[int, ...] = (0, 0, 0)) -> list[Hog]:
    """Start one hog for each size, in this order."""
    made = {index: pod.hog(f"hog{index}", mib[index], adj=adj[index]) for index in order}
    return [made[index] for index in sorted(made)]


@pytest.mark.parametrize("order", ORDERS)
def test_abort_kills_no_task_until_the_answer_changes(pod: Pod, answers: Answers, order: tuple[int, ...]) -> None:
    """Abort ends the scan without a victim, also if the scan selected another task. The allocation tries again."""
    aborts, selected, bigger = hogs(pod, (8, 12, 20), order)
    answers.set({aborts: ABORT, selected: SELECT})
    trigger = pod.node.hog(pod.cgroup.child("trigger"), 0)
    before = oom_kills()
    with closing(KernelLog()) as log:
        trigger.ask_to_grow(30)
        wait_until("several scans have ended", lambda: answers.asked(aborts) >= 3)

        assert before == oom_kills()
        assert all(hog.alive for hog in (aborts, selected, bigger, trigger))
        answers.set_others(NEXT)
        answers.set({aborts: NEXT})
        said = [log.line()]
        while "Killed process" not in said[-1]:
            said.append(log.line())

    # For the whole node this line would mean a panic.
    assert not [line for line in said if "no killable processes" in line]
    assert selected.was_killed()
    assert aborts.alive
    assert bigger.alive


@pytest.mark.parametrize("order", ORDERS)
def test_select_kills_a_task_that_the_kernel_would_not_choose(
    pod: Pod, answers: Answers, order: tuple[int, ...]
) -> None:
    """Select chooses a small task in any position of the scan, and next spares the bigger ones."""
    small, *_ = hogs(pod, (6, 16, 24), order)
    answers.set_others(NEXT)
    answers.set({small: SELECT})

    assert small is pod.first_victim()


@pytest.mark.parametrize(
    ("order", "selected", "victim"), [((0, 1), 0, 1), ((1, 0), 0, 0), ((0, 1), 1, 1), ((1, 0), 1, 1)]
)
def test_a_selected_task_keeps_the_kernels_points(
    pod: Pod, answers: Answers, order: tuple[int, ...], selected: int, victim: int
) -> None:
    """The next task without an answer replaces the selected one only if it is bigger."""
    small_and_big = hogs(pod, (20, 30), order)
    answers.set({small_and_big[selected]: SELECT})

    assert small_and_big[victim] is pod.first_victim()


@pytest.mark.parametrize("order", ORDERS)
def test_select_of_a_task_that_cannot_be_killed_changes_nothing(
    pod: Pod, answers: Answers, order: tuple[int, ...]
) -> None:
    """The kernel ignores the answer, also in the comparison with the next task.

    A kernel with the hook built in does not ask about such a task.
    """
    never, big, small = hogs(pod, (4, 30, 8), order, adj=(-1000, 0, 0))
    answers.set({never: SELECT})

    assert big is pod.first_victim()
    assert never.alive
    assert small.alive
    assert STOCK == (answers.asked(never) > 0)


def test_an_oom_does_not_depend_on_the_one_before(pod: Pod, answers: Answers) -> None:
    """The kernel chooses alone, even if the last task of the previous scan was selected."""
    big, _ = hogs(pod, (30, 8), (0, 1))
    trigger = pod.node.hog(pod.cgroup.child("trigger"), 0)
    answers.set_others(NEXT)
    answers.set({trigger: SELECT})
    assert [trigger] == run_out_of_memory(trigger, pod.hogs)
    answers.clear()

    assert big is pod.first_victim()


def test_abort_for_a_task_that_cannot_be_killed_ends_only_the_modules_scan(pod: Pod, answers: Answers) -> None:
    """A kernel with the hook built in does not ask about a task that cannot be killed. The module does."""
    never, other = pod.hog("never", 4, adj=-1000), pod.hog("other", 40)
    answers.set({never: ABORT})
    trigger = pod.node.hog(pod.cgroup.child("trigger"), 0)
    before = oom_kills()
    trigger.ask_to_grow(24)
    if STOCK:
        wait_until("several scans have ended", lambda: answers.asked(never) >= 3)
        assert before == oom_kills()
        answers.set({never: NEXT})

    assert other.was_killed()
    assert never.alive
    assert STOCK == (answers.asked(never) > 0)


def test_the_kernel_does_not_ask_about_a_dying_victim(node: Node, answers: Answers) -> None:
    """The scan of a sysrq, which waits for no victim, does not ask the policy about a dying task."""
    occupy_cpu_1(node)
    # Otherwise the reaper could be the reason for the skipped question: a reaped victim has no points.
    move_reaper_to_cpu_1(node)
    slow = node.hog(node.cgroup("dying/slow"), 8, options=["--cpu", "1"])
    second = node.hog(node.cgroup("dying/second"), 8)
    answers.set_others(NEXT)
    answers.set({slow: SELECT})
    spinner = node.adopt(Spinner(1))
    with closing(KernelLog()) as log:
        SYSRQ.write_text("f")
        assert slow.pid == log.victim()
        answers.set({slow: SELECT, second: SELECT})
        SYSRQ.write_text("f")
        assert second.pid == log.victim()

    assert slow.alive, "the victim should have been unable to run to its end"
    assert 0 == answers.asked(slow)
    spinner.end()
    assert slow.was_killed()

# SPDX-License-Identifier: Apache-2.0
"""What follows from each answer of the hook, whoever gives it: also from those that our own program never gives."""

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
from tests.node.test_dying import SYSRQ, Spinner, starve, starve_reaper

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.node.conftest import Pod
    from tests.node.hog import Hog
    from tests.node.machine import Node

ABORT, NEXT, SELECT = Verdict.BPF_EVAL_ABORT, Verdict.BPF_EVAL_NEXT, Verdict.BPF_EVAL_SELECT
ORDERS = list(permutations(range(3)))
"""In which cgroups are made, which is the order of the scan in a limit."""


@pytest.fixture(scope="module")
def _other_policy() -> Iterator[None]:
    other_policy.attach()
    yield
    other_policy.detach()


@pytest.fixture
def answers(_other_policy: None) -> Iterator[Answers]:
    """The other policy is attached, and has no answers."""
    with Answers() as answers:
        yield answers
        answers.clear()


def hogs(pod: Pod, mib: tuple[int, ...], order: tuple[int, ...], adj: tuple[int, ...] = (0, 0, 0)) -> list[Hog]:
    """As many as there are sizes, begun in this order."""
    made = {index: pod.hog(f"hog{index}", mib[index], adj=adj[index]) for index in order}
    return [made[index] for index in sorted(made)]


@pytest.mark.parametrize("order", ORDERS)
def test_abort_spares_everyone_until_the_answer_is_another(pod: Pod, answers: Answers, order: tuple[int, ...]) -> None:
    """Whoever is selected before or after; the allocation goes on trying."""
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

    # Of the whole node this would be a panic.
    assert not [line for line in said if "no killable processes" in line]
    assert selected.was_killed()
    assert aborts.alive
    assert bigger.alive


@pytest.mark.parametrize("order", ORDERS)
def test_select_takes_one_whom_the_kernel_would_not(pod: Pod, answers: Answers, order: tuple[int, ...]) -> None:
    """And next spares those that it would, wherever they stand in the scan."""
    small, *_ = hogs(pod, (6, 16, 24), order)
    answers.set_others(NEXT)
    answers.set({small: SELECT})

    assert small is pod.first_victim()


@pytest.mark.parametrize(
    ("order", "selected", "victim"), [((0, 1), 0, 1), ((1, 0), 0, 0), ((0, 1), 1, 1), ((1, 0), 1, 1)]
)
def test_whoever_was_selected_has_the_kernels_points(
    pod: Pod, answers: Answers, order: tuple[int, ...], selected: int, victim: int
) -> None:
    """A bigger one without an answer takes the place of one that was selected before it, and a smaller one does not."""
    small_and_big = hogs(pod, (20, 30), order)
    answers.set({small_and_big[selected]: SELECT})

    assert small_and_big[victim] is pod.first_victim()


@pytest.mark.parametrize("order", ORDERS)
def test_select_of_one_that_cannot_be_killed_changes_nothing(
    pod: Pod, answers: Answers, order: tuple[int, ...]
) -> None:
    """Not even with whom the next is compared. A kernel with the hook in it does not ask about such a task."""
    never, big, small = hogs(pod, (4, 30, 8), order, adj=(-1000, 0, 0))
    answers.set({never: SELECT})

    assert big is pod.first_victim()
    assert never.alive
    assert small.alive
    assert STOCK == (answers.asked(never) > 0)


def test_an_oom_knows_nothing_of_the_one_before(pod: Pod, answers: Answers) -> None:
    """Also where that one ended with somebody who was selected as the last of all."""
    big, _ = hogs(pod, (30, 8), (0, 1))
    trigger = pod.node.hog(pod.cgroup.child("trigger"), 0)
    answers.set_others(NEXT)
    answers.set({trigger: SELECT})
    assert [trigger] == run_out_of_memory(trigger, pod.hogs)
    answers.clear()

    assert big is pod.first_victim()


def test_abort_about_one_that_cannot_be_killed_ends_the_scan_of_the_module_alone(pod: Pod, answers: Answers) -> None:
    """A kernel with the hook in it does not ask about such a task."""
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


def test_nobody_asks_about_a_victim_that_is_dying(node: Node, answers: Answers) -> None:
    """Only the scan of a sysrq, which waits for no victim, gets as far as to ask."""
    starve(node)
    # Else it may be the reaper who keeps the scan from asking: a reaped victim has no points.
    starve_reaper(node)
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

    assert slow.alive, "the victim was meant to be kept from dying"
    assert 0 == answers.asked(slow)
    spinner.end()
    assert slow.was_killed()

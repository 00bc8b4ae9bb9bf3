# SPDX-License-Identifier: Apache-2.0
"""The verdict on a task follows from what the probes saw of it."""

from __future__ import annotations

from typing import Any

import pytest

from oompolicy_trace.probes import PROBES, absence, doubt, symbols
from oompolicy_trace.records import Answer, Flag
from oompolicy_trace.verdicts import LONG_MAX, LONG_MIN, Verdict, computed_badness, judge
from tests.unit.trace.records import record

ASKED = Flag.HAS_ANSWER
MEASURED = Flag.HAS_BADNESS
BEST = Flag.IS_CHOSEN


@pytest.mark.parametrize(
    ("fields", "verdict", "reason"),
    [
        ({"flags": ASKED | BEST | MEASURED, "answer": Answer.SELECT}, Verdict.BEST_SO_FAR, "the policy selected it"),
        ({"flags": BEST | MEASURED, "badness": 9}, Verdict.BEST_SO_FAR, "the largest badness so far"),
        ({"flags": ASKED | BEST | MEASURED, "answer": 0}, Verdict.BEST_SO_FAR, "the largest badness so far"),
        ({"flags": BEST, "points": LONG_MAX}, Verdict.BEST_SO_FAR, "the kernel takes it before all others"),
        ({"flags": ASKED, "answer": Answer.NEXT}, Verdict.PASSED_OVER, "the policy passed over it"),
        ({"flags": MEASURED, "badness": 9, "points": 10}, Verdict.PASSED_OVER, "a smaller badness"),
        (
            {"flags": ASKED | MEASURED, "answer": Answer.SELECT},
            Verdict.PASSED_OVER,
            "selected it, and the kernel refused",
        ),
        ({}, Verdict.PASSED_OVER, "the kernel did not measure it"),
        ({"flags": MEASURED, "badness": LONG_MIN}, Verdict.NOT_KILLABLE, "it is in vfork()"),
        ({"flags": MEASURED, "badness": LONG_MIN, "adj": -1000}, Verdict.NOT_KILLABLE, "oom_score_adj is -1000"),
        (
            {"flags": ASKED | MEASURED, "badness": LONG_MIN, "answer": Answer.SELECT},
            Verdict.NOT_KILLABLE,
            "it is in vfork()",
        ),
        ({"tgid": 1}, Verdict.NOT_KILLABLE, "never kills PID 1"),
        ({"returned": 1}, Verdict.ENDED_SCAN, "it is dying already"),
        ({"returned": 1, "flags": ASKED, "answer": Answer.ABORT}, Verdict.ENDED_SCAN, "the policy ended the scan"),
        ({"flags": Flag.INLINED | MEASURED}, Verdict.UNKNOWN, "the compiler inlined oom_evaluate_task()"),
    ],
)
def test_a_verdict_has_its_reason(fields: dict[str, Any], verdict: Verdict, reason: str) -> None:
    judged = judge(record(**{"tgid": 77, **fields}))

    assert verdict is judged.verdict
    assert reason in judged.reason


def test_badness_is_memory_and_score_in_thousandths_of_the_scope() -> None:
    """The kernel divides before it multiplies, so a scope of less than 1,000 pages makes a score count nothing."""
    task = record(pages=500, adj=-3, flags=Flag.HAS_PAGES)

    assert 500 - 3 * 16 == computed_badness(task, 16384)
    assert 500 == computed_badness(task, 999)
    assert computed_badness(record(), 16384) is None


def test_a_function_that_cannot_be_watched_has_a_reason() -> None:
    known = symbols(
        [
            "ffffffff81000000 t oom_evaluate_task.isra.0",
            "ffffffff81000000 T out_of_memory",
            "ffffffffc0000000 T bpf_oom_evaluate_task\t[oompolicy_hook]",
            "ffffffff81000000 T schedule",
        ]
    )

    assert "" == absence("out_of_memory", known)
    assert "" == absence("bpf_oom_evaluate_task", known)
    assert "this kernel has no such function, or the compiler inlined it" == absence("oom_badness", known)
    assert "this kernel has oom_evaluate_task.isra.0" in absence("oom_evaluate_task", known)


def test_without_a_visible_badness_no_task_counts_as_unmeasured() -> None:
    """Linux 5.10 of Debian 11 calls a part of oom_badness() that has no name of its own for probes."""
    judged = judge(record(tgid=77, pages=5, flags=Flag.HAS_PAGES), visible=False)

    assert Verdict.PASSED_OVER is judged.verdict
    assert "oom_badness() is not visible here" in judged.reason
    assert Verdict.NOT_KILLABLE is judge(record(tgid=77, adj=-1000), visible=False).verdict


def test_a_function_that_the_compiler_split_is_watched_with_a_doubt() -> None:
    known = {"oom_badness", "oom_badness.part.0", "out_of_memory", "out_of_memory.cold"}

    assert "" == absence("oom_badness", known)
    assert "the compiler split it, and the kernel may call oom_badness.part.0 alone" == doubt("oom_badness", known)
    assert "" == doubt("out_of_memory", known)


def test_the_begin_of_an_oom_is_attached_last() -> None:
    """An OOM has records only after its begin was seen, so all other probes are attached by then."""
    assert "out_of_memory" == PROBES[-1].name

# SPDX-License-Identifier: Apache-2.0
"""The result of the kernel's look at one task, with the reason. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from oompolicy_trace.records import Answer, Flag

if TYPE_CHECKING:
    from oompolicy_trace.records import Record

LONG_MIN: Final = -(1 << 63)
LONG_MAX: Final = (1 << 63) - 1
INIT: Final = 1
NEVER: Final = -1000
UNMEASURED: Final = (
    "the kernel did not measure it: it was killed before and its memory is freed, or it is outside of the NUMA nodes "
    "of this OOM, or a hook answered that this tool does not watch"
)
INVISIBLE: Final = "a smaller badness, or not killable: oom_badness() is not visible here"
PER_MILLE: Final = 1000
"""A step of oom_score_adj is a thousandth of the scope."""


class Verdict(StrEnum):
    """The result of the look at one task."""

    BEST_SO_FAR = "BestSoFar"
    PASSED_OVER = "PassedOver"
    NOT_KILLABLE = "NotKillable"
    ENDED_SCAN = "EndedScan"
    UNKNOWN = "Unknown"


@dataclass(frozen=True)
class Judged:
    """A verdict with the reason for it in one sentence."""

    verdict: Verdict
    reason: str


def judge(record: Record, *, visible: bool = True) -> Judged:
    """Derive the verdict from what the probes saw of this task. `visible` is false if they saw no badness at all."""
    answer = record.answer if Flag.HAS_ANSWER in record.flags else None
    if Flag.INLINED in record.flags:
        return Judged(Verdict.UNKNOWN, "the compiler inlined oom_evaluate_task(), so its result is not visible")
    if record.returned:
        reason = "the policy ended the scan" if answer == Answer.ABORT else "it is dying already, so the kernel waits"
        return Judged(Verdict.ENDED_SCAN, reason)
    if Flag.IS_CHOSEN in record.flags:
        return Judged(Verdict.BEST_SO_FAR, why_best(record, answer))
    return why_not(record, answer, visible=visible)


def why_best(record: Record, answer: int | None) -> str:
    """Say why the kernel preferred this task to all before it."""
    if answer == Answer.SELECT:
        return "the policy selected it"
    if record.points == LONG_MAX:
        return "the kernel takes it before all others, for example during swapoff"
    return "the largest badness so far"


def why_not(record: Record, answer: int | None, *, visible: bool) -> Judged:
    """Say why the kernel did not prefer this task."""
    if answer == Answer.NEXT:
        return Judged(Verdict.PASSED_OVER, "the policy passed over it")
    never = why_never(record)
    if never:
        return Judged(Verdict.NOT_KILLABLE, never)
    if Flag.HAS_BADNESS not in record.flags:
        return Judged(Verdict.PASSED_OVER, UNMEASURED if visible else INVISIBLE)
    if answer == Answer.SELECT:
        return Judged(Verdict.PASSED_OVER, "the policy selected it, and the kernel refused it")
    return Judged(Verdict.PASSED_OVER, "a smaller badness than the best so far")


def why_never(record: Record) -> str:
    """Say why the kernel can never kill this task in this OOM, or return an empty string."""
    if record.tgid == INIT:
        return "the kernel never kills PID 1"
    if record.adj == NEVER:
        return "oom_score_adj is -1000"
    if Flag.HAS_BADNESS in record.flags and record.badness == LONG_MIN:
        return "its memory is freed already, or it is in vfork()"
    return ""


def computed_badness(record: Record, total_pages: int) -> int | None:
    """Compute the badness of a task as the kernel does, for a task that the kernel itself did not measure."""
    if Flag.HAS_PAGES not in record.flags or not total_pages:
        return None
    return record.pages + record.adj * (total_pages // PER_MILLE)

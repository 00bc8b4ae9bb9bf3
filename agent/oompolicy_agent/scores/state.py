# SPDX-License-Identifier: Apache-2.0
"""Judge the last report of the adjuster for the status of the node. Pure.

No sentence has a number that changes with each look, because each new sentence is logged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from oompolicy.oomsettings import Mode
from oompolicy_agent.scores.reports import FRESH_NS
from oompolicy_agent.status.reasons import Reason
from oompolicy_agent.status.scores import Order, Scores

if TYPE_CHECKING:
    from oompolicy_agent.adjuster.report import Report

SILENT: Final = "the scores of its last look stay in force; see the log of the pod oompolicy-adjuster of this node"


def judge(report: Report | None, problem: str, mode: Mode, now_ns: int, misses: int) -> Scores:
    """Return the state of the scores. `problem` says why there is no report, and `mode` is the mode that is asked for.

    `now_ns` is the boot clock.
    """
    if report is None:
        return _without_order(Reason.ADJUSTER_SILENT, f"the adjuster does not report: {problem}; {SILENT}", misses)
    says = f"; it says: {report.message}" if report.message else ""
    if not report.boot_time_ns:
        message = f"the adjuster has not looked at the node yet{says}"
        return _without_order(Reason.ADJUSTER_SILENT, message, misses)
    if now_ns - report.boot_time_ns > FRESH_NS:
        message = f"the adjuster last looked at the node at {report.time}; {SILENT}{says}"
        return _without_order(Reason.ADJUSTER_SILENT, message, misses)
    if report.mode != mode:
        message = f"the adjuster is still in the mode {report.mode}, and not yet in {mode}{says}"
        return _without_order(Reason.SCORES_PENDING, message, misses)
    order = Order(report.margin, report.total, report.unmet, report.time or "", misses, report.margins, report.scores)
    return Scores(*_kept(report, mode), order)


def _kept(report: Report, mode: Mode) -> tuple[Reason, str]:
    if mode is not Mode.ENFORCE:
        return (Reason.AUDIT if mode is Mode.AUDIT else Reason.OFF), report.message
    if not report.written:
        message = report.message or "the adjuster does not say why"
        return Reason.SCORES_NOT_WRITTEN, f"not all processes have their scores: {message}"
    return (Reason.ORDER_CANNOT_HOLD if report.unmet else Reason.SCORES_IN_FORCE), report.message


def _without_order(reason: Reason, message: str, misses: int) -> Scores:
    return Scores(reason, message, Order(None, 0, (), "", misses))

# SPDX-License-Identifier: Apache-2.0
"""The state follows the adjuster's report, and silence is never taken for success."""

from __future__ import annotations

from dataclasses import replace

import pytest

from oompolicy.oomsettings import Mode
from oompolicy_agent.adjuster.report import Report
from oompolicy_agent.scores.reports import FRESH_NS
from oompolicy_agent.scores.state import judge
from oompolicy_agent.status.reasons import Reason
from oompolicy_agent.status.scores import Order, Scores

NOW = 100 * FRESH_NS
GOOD = Report(
    boot_id="b",
    boot_time_ns=NOW - FRESH_NS,
    time="2026-11-28T12:00:00.000000Z",
    mode="Enforce",
    written=True,
    margin=1 << 29,
    margins={500: 1 << 29},
    total=1 << 30,
)


def state(report: Report | None, mode: Mode = Mode.ENFORCE) -> Scores:
    return judge(report, "there is no report.json", mode, NOW, misses=3)


def test_good_scores_are_in_force() -> None:
    found = state(GOOD)

    assert (Reason.SCORES_IN_FORCE, "", True) == (found.reason, found.message, found.in_force)
    assert Order(1 << 29, 1 << 30, (), "2026-11-28T12:00:00.000000Z", 3, {500: 1 << 29}) == found.order


@pytest.mark.parametrize(
    ("report", "reason", "sentence"),
    [
        (None, Reason.ADJUSTER_SILENT, "does not report: there is no report.json; the scores of its last look stay"),
        (
            replace(GOOD, boot_time_ns=0, message="the request cannot be used"),
            Reason.ADJUSTER_SILENT,
            "has not looked at the node yet; it says: the request cannot be used",
        ),
        (
            replace(GOOD, boot_time_ns=NOW - FRESH_NS - 1),
            Reason.ADJUSTER_SILENT,
            "last looked at the node at 2026-11-28T12:00:00.000000Z; the scores of its last look stay in force",
        ),
        (replace(GOOD, mode="Audit"), Reason.SCORES_PENDING, "still in the mode Audit, and not yet in Enforce"),
        (replace(GOOD, mode=None), Reason.SCORES_PENDING, "not yet in Enforce"),
        (replace(GOOD, written=False, message="EACCES"), Reason.SCORES_NOT_WRITTEN, "have their scores: EACCES"),
        (replace(GOOD, unmet=(950,), message="too early"), Reason.ORDER_CANNOT_HOLD, "too early"),
    ],
)
def test_the_reason_says_what_is_wrong(report: Report | None, reason: Reason, sentence: str) -> None:
    """Only scores that are in force enforce, also if they cannot have the whole order."""
    found = state(report)

    assert reason is found.reason
    assert sentence in found.message
    assert found.in_force is (reason is Reason.ORDER_CANNOT_HOLD)
    assert 3 == found.order.misses


@pytest.mark.parametrize("mode", [Mode.AUDIT, Mode.OFF])
def test_the_mode_is_obeyed_only_when_the_adjuster_says_so(mode: Mode) -> None:
    """In Off scores may be in force until the adjuster has restored, so its silence is a problem there too."""
    obeyed = state(replace(GOOD, mode=mode.value, written=False), mode)

    assert (mode.value, False, True) == (obeyed.reason.value, obeyed.in_force, obeyed.working)
    assert {None} == set(obeyed.problems.values())
    assert Reason.SCORES_PENDING is state(GOOD, mode).reason
    assert state(None, mode).problems[Reason.ADJUSTER_SILENT]

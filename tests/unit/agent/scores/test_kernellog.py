# SPDX-License-Identifier: Apache-2.0
"""The kernel's log is a source of victims only where no program can report them, and the node says what is missing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from oompolicy_agent.adjuster import report
from oompolicy_agent.adjuster.report import Report
from oompolicy_agent.kernel.attachment import Attachment
from oompolicy_agent.scores.kernellog import NOT_ALLOWED, KernelLog, problem_of
from oompolicy_agent.scores.reports import FRESH_NS
from oompolicy_agent.settings import Settings
from oompolicy_agent.status.problems import Problems
from oompolicy_agent.status.reasons import Reason
from tests.unit.agent.fakes import BOOT

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_000_000_000_000
REPORT = Report(boot_id=BOOT, boot_time_ns=NOW, kernel_log="")
ATTACHED = Attachment("ObserveOnly", "None", "6.12", None, "", ())


@pytest.mark.parametrize(
    ("refused", "forbidden", "expected"), [(False, False, False), (True, False, True), (False, True, True)]
)
def test_only_a_node_without_programs_asks_for_the_log(
    tmp_path: Path, refused: bool, forbidden: bool, expected: bool
) -> None:
    log = KernelLog(Settings(node="n", adjuster_dir=tmp_path, kernel_log=True), BOOT, Problems())
    log.judge(replace(ATTACHED, refused=refused), forbidden=forbidden)

    assert expected == log.asked


def test_an_agent_without_the_flag_says_what_to_set(tmp_path: Path) -> None:
    """On a node with programs it says nothing."""
    problems = Problems()
    log = KernelLog(Settings(node="n", adjuster_dir=tmp_path), BOOT, problems)
    log.judge(ATTACHED, forbidden=False)
    log.look(NOW)
    assert {} == problems.current
    log.judge(replace(ATTACHED, refused=True), forbidden=False)
    log.look(NOW)

    assert not log.asked
    assert {Reason.KERNEL_LOG_UNREADABLE: (NOT_ALLOWED,)} == problems.current
    assert {} == log.counters


def test_the_log_works_while_the_adjuster_says_so(tmp_path: Path) -> None:
    problems = Problems()
    log = KernelLog(Settings(node="n", adjuster_dir=tmp_path, kernel_log=True), BOOT, problems)
    log.judge(replace(ATTACHED, refused=True), forbidden=False)
    log.look(NOW)
    assert not log.works
    report.write(tmp_path / "report.json", REPORT)
    log.look(NOW)
    assert log.works
    assert {} == problems.current
    log.judge(ATTACHED, forbidden=False)
    log.look(NOW)

    assert not log.works


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (None, "it does not report: no file; see the log of the pod oompolicy-adjuster of this node"),
        (replace(REPORT, kernel_log=None), "does not follow the kernel's log yet"),
        (replace(REPORT, boot_time_ns=0), "does not follow the kernel's log yet"),
        (replace(REPORT, boot_time_ns=NOW - FRESH_NS - 1), "it has not looked at the node for more than 60 s"),
        (replace(REPORT, kernel_log="a reason"), "the adjuster does not follow the kernel's log: a reason"),
    ],
)
def test_the_problem_names_the_reason(found: Report | None, expected: str) -> None:
    assert expected in (problem_of(found, "no file", NOW) or "")


def test_a_report_without_a_reason_is_no_problem() -> None:
    assert problem_of(REPORT, "", NOW) is None

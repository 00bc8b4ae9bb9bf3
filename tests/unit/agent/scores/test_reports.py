# SPDX-License-Identifier: Apache-2.0
"""A report of another boot, or one that cannot be read, is none. A victim gets the last look before its death."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from oompolicy_agent.adjuster.report import Report, write
from oompolicy_agent.scores.reports import FRESH_NS, Reports
from tests.unit.agent.fakes import BOOT

if TYPE_CHECKING:
    from pathlib import Path

REPORT = Report(boot_id=BOOT, boot_time_ns=1000, mode="Enforce", written=True)


@pytest.fixture
def reports(tmp_path: Path) -> Reports:
    return Reports(tmp_path / "report.json", BOOT)


def test_the_last_report_is_known_while_it_can_be_read(reports: Reports, tmp_path: Path) -> None:
    write(tmp_path / "report.json", REPORT)
    reports.read()
    assert (REPORT, "") == (reports.last, reports.problem)
    (tmp_path / "report.json").write_text("{")
    reports.read()
    assert reports.last is None
    assert "cannot be read" in reports.problem
    (tmp_path / "report.json").unlink()
    reports.read()
    assert "there is no" in reports.problem


def test_a_report_of_another_boot_is_none(reports: Reports, tmp_path: Path) -> None:
    write(tmp_path / "report.json", replace(REPORT, boot_id="another"))
    reports.read()

    assert reports.last is None
    assert "is of another boot" in reports.problem
    assert reports.before(2000) is None


def test_a_victim_gets_the_last_look_before_its_death(reports: Reports, tmp_path: Path) -> None:
    """A report that arrived after the kill may be of a look that no longer found the victim."""
    for boot_time in (0, 1000, 2000, 3000):
        write(tmp_path / "report.json", replace(REPORT, boot_time_ns=boot_time))
        reports.read()

    assert [None, 1000, 1000, 2000, 3000] == [
        found and found.boot_time_ns for found in map(reports.before, (999, 1000, 1999, 2500, 3001))
    ]


def test_a_look_that_is_too_old_says_nothing_about_a_victim(reports: Reports, tmp_path: Path) -> None:
    write(tmp_path / "report.json", REPORT)
    reports.read()

    assert reports.before(1000 + FRESH_NS)
    assert reports.before(1001 + FRESH_NS) is None

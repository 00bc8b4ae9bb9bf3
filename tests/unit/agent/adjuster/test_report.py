# SPDX-License-Identifier: Apache-2.0
"""The report arrives as it was written, every user may read it, and no other file is taken for one."""

from __future__ import annotations

import json
import stat
from typing import TYPE_CHECKING

import pytest

from oompolicy_agent.adjuster.report import LIMIT, Chosen, Report, Scored, parse, read, write

if TYPE_CHECKING:
    from pathlib import Path

FULL = Report(
    boot_id="5d4e7f0c",
    boot_time_ns=42,
    time="2026-11-28T12:00:00.000000Z",
    mode="Enforce",
    written=True,
    margin=4096,
    margins={500: 8192, 900: 4096},
    total=1 << 30,
    unmet=(900, 950),
    message="one sentence",
    spared={"Node": Chosen(4711, 12, 345, 8192, 500, "java")},
    would_kill={"Kubepods": Chosen(0, 13, 346, 4096, 1000, "sshd")},
    scored=frozenset({4711, 4712}),
    kernel_log="a reason",
    scores={4711: Scored(500, 640), 4712: Scored(900, -20)},
)


@pytest.mark.parametrize("report", [FULL, Report(boot_id="5d4e7f0c")])
def test_a_report_arrives_as_it_was_written(tmp_path: Path, report: Report) -> None:
    write(tmp_path / "report.json", report)

    assert report == read(tmp_path / "report.json")
    assert 0o644 == stat.S_IMODE((tmp_path / "report.json").stat().st_mode)


@pytest.mark.parametrize("found", [None, "", "a reason"])
def test_the_state_of_the_kernels_log_is_one_of_three(tmp_path: Path, found: str | None) -> None:
    """It is not asked for, followed, or not followed for a reason. An adjuster of an earlier release does not say."""
    path = tmp_path / "report.json"
    write(path, Report(boot_id="5d4e7f0c", kernel_log=found))
    assert found == read(path).kernel_log
    raw = json.loads(path.read_bytes())
    del raw["kernelLog"]
    assert parse(json.dumps(raw).encode()).kernel_log is None


def test_the_file_has_the_shape_of_the_contract(tmp_path: Path) -> None:
    write(tmp_path / "report.json", FULL)
    raw = json.loads((tmp_path / "report.json").read_bytes())

    assert {"cgroup": 4711, "pid": 12, "startTime": 345, "bytes": 8192, "priority": 500, "comm": "java"} == raw[
        "spared"
    ]["Node"]
    assert [1, 4096, [900, 950], [4711, 4712]] == [raw[key] for key in ("version", "marginBytes", "unmet", "scored")]
    assert {"500": 8192, "900": 4096} == raw["marginsBytes"]
    assert {"priority": 500, "score": 640} == raw["scores"]["4711"]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"version": 2}, "agent and adjuster must be of the same release"),
        ({"mode": "Maybe"}, "its mode is none of"),
        ({"scored": None}, "a part of it is missing or wrong"),
        ({"spared": {"Node": {}}}, "a part of it is missing or wrong"),
        ({"scores": {"4711": 640}}, "a part of it is missing or wrong"),
    ],
)
def test_another_file_is_no_report(tmp_path: Path, change: dict[str, object], reason: str) -> None:
    write(tmp_path / "report.json", FULL)
    raw = json.loads((tmp_path / "report.json").read_bytes())

    with pytest.raises(ValueError, match=reason):
        parse(json.dumps({**raw, **change}).encode())


def test_a_report_without_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_bytes(b" " * (LIMIT + 1))

    with pytest.raises(ValueError, match="more than"):
        read(tmp_path / "report.json")

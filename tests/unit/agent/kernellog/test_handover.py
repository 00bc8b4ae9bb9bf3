# SPDX-License-Identifier: Apache-2.0
"""The file between adjuster and agent is read as it was written, or refused as a whole."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from oompolicy_agent.kernellog import handover
from oompolicy_agent.kernellog.handover import Handover, Place
from oompolicy_agent.kernellog.kills import Kill

if TYPE_CHECKING:
    from pathlib import Path

KILL = Kill(
    time_us=5,
    pid=7,
    comm=b"\xffa",
    uid=0,
    anon_kib=1,
    file_kib=2,
    shmem_kib=3,
    pgtables_kib=4,
    oom_score_adj=-5,
    scope="",
    path="/a/\udcff",
    trigger=(9, b"web"),
)
CONTENT = Handover("boot", "cursor", 12, 3, 4, 5, begin_ns=6).with_kill(
    handover.to_json(KILL, 99, Place(4711, 88), None)
)


def test_the_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Names of processes and cgroups may have any bytes."""
    handover.write(tmp_path / "kills.json", CONTENT)
    found = handover.read(tmp_path / "kills.json")

    assert CONTENT == found
    assert {"number": 1, "pid": 7, "comm": "\\xffa", "path": "/a/\udcff"}.items() <= found.kills[0].items()
    assert {"pid": 9, "comm": "web", "cgroup": 0} == found.kills[0]["trigger"]


def test_a_file_of_an_earlier_release_is_read(tmp_path: Path) -> None:
    """It has no begin of its numbering."""
    handover.write(tmp_path / "kills.json", CONTENT)
    raw = json.loads((tmp_path / "kills.json").read_bytes())
    del raw["beginNs"]

    assert replace(CONTENT, begin_ns=0) == handover.parse(json.dumps(raw).encode())


@pytest.mark.parametrize("part", ["version", "bootId", "cursor", "accounted", "offsetNs", "lost", "last", "kills"])
def test_a_file_without_a_part_is_refused(tmp_path: Path, part: str) -> None:
    handover.write(tmp_path / "kills.json", CONTENT)
    raw = json.loads((tmp_path / "kills.json").read_bytes())
    del raw[part]

    with pytest.raises(ValueError, match="its version is not 1"):
        handover.parse(json.dumps(raw).encode())


@pytest.mark.parametrize("kills", [[1], [{}], [{"number": "1"}]])
def test_a_file_with_a_kill_without_a_number_is_refused(tmp_path: Path, kills: list[object]) -> None:
    handover.write(tmp_path / "kills.json", CONTENT)
    raw = json.loads((tmp_path / "kills.json").read_bytes()) | {"kills": kills}

    with pytest.raises(ValueError, match="its version is not 1"):
        handover.parse(json.dumps(raw).encode())


def test_a_large_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "kills.json"
    path.write_bytes(b" " * (handover.LIMIT + 1))

    with pytest.raises(ValueError, match="more than"):
        handover.read(path)

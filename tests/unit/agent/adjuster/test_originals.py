# SPDX-License-Identifier: Apache-2.0
"""Original values are on the disk before they are needed, and a damaged file is an error."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from oompolicy_agent.adjuster.group import ProcessId
from oompolicy_agent.adjuster.originals import Original, Originals, OriginalsError

if TYPE_CHECKING:
    from pathlib import Path

BOOT = "5d4e7f0c"
WEB = Original(500, {ProcessId(12, 3456): 0, ProcessId(13, 3470): -997})
DATABASE = Original(-997)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "originals.json"


def fail_to_sync(_fd: int) -> None:
    raise OSError(28, "No space left on device")


def test_the_next_adjuster_of_this_boot_reads_the_values(path: Path) -> None:
    Originals(path, BOOT).remember({4711: WEB, 4712: DATABASE})
    found = Originals(path, BOOT)

    assert {4711: WEB, 4712: DATABASE} == found.known
    assert [0, -997, 500] == [found.known[4711].of(ProcessId(*each)) for each in ((12, 3456), (13, 3470), (12, 9999))]


def test_another_boot_has_other_processes(path: Path) -> None:
    Originals(path, BOOT).remember({4711: WEB})

    assert {} == Originals(path, "other").known


def test_forgotten_cgroups_are_not_in_the_file(path: Path) -> None:
    originals = Originals(path, BOOT)
    originals.remember({4711: WEB, 4712: DATABASE})
    originals.forget([4711, 9999])

    assert {4712: DATABASE} == originals.known == Originals(path, BOOT).known


def test_the_file_is_written_only_for_a_change(path: Path) -> None:
    """Looks follow each other several times a second."""
    originals = Originals(path, BOOT)
    originals.remember({4711: WEB})
    before = path.stat()
    originals.remember({4711: WEB})
    originals.forget([9999])

    assert before == path.stat()


def test_a_value_that_could_not_be_written_is_not_known(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller must not write a score then. The next try writes again, although the value is no other."""
    originals = Originals(path, BOOT)
    originals.remember({4711: WEB})
    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", fail_to_sync)
        with pytest.raises(OSError, match="No space left on device"):
            originals.remember({4712: DATABASE})
        assert {4711: WEB} == originals.known
        with pytest.raises(OSError, match="No space left on device"):
            originals.forget([4711])
        assert {4711: WEB} == originals.known
    path.unlink()
    originals.remember({4711: WEB})

    assert {4711: WEB} == Originals(path, BOOT).known


def test_a_file_that_is_cut_anywhere_is_an_error(path: Path) -> None:
    """The message says what the owner of the node can do. The file is not changed."""
    Originals(path, BOOT).remember({4711: WEB})
    whole = path.read_bytes()
    for length in range(len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(OriginalsError) as error:
            Originals(path, BOOT)

        assert str(error.value).startswith(f"the original values in {path} cannot be read (")
        assert "no score is written or restored; delete the file" in str(error.value)
        assert whole[:length] == path.read_bytes()


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        '{"version": 2, "bootId": "5d4e7f0c", "cgroups": {}}',
        '{"version": 1, "bootId": "5d4e7f0c", "cgroups": []}',
        '{"version": 1, "bootId": "5d4e7f0c", "cgroups": {"x": {"value": 1, "own": {}}}}',
        '{"version": 1, "bootId": "5d4e7f0c", "cgroups": {"7": {"value": 1001, "own": {}}}}',
        '{"version": 1, "bootId": "5d4e7f0c", "cgroups": {"7": {"value": "1", "own": {}}}}',
        '{"version": 1, "bootId": "5d4e7f0c", "cgroups": {"7": {"value": 1}}}',
        '{"version": 1, "bootId": "5d4e7f0c", "cgroups": {"7": {"value": 1, "own": {"5": 1}}}}',
    ],
)
def test_a_file_of_another_shape_is_an_error(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(OriginalsError, match="cannot be read"):
        Originals(path, BOOT)


def test_only_the_adjuster_reads_the_file(path: Path) -> None:
    Originals(path, BOOT).remember({4711: WEB})

    assert 0o600 == path.stat().st_mode & 0o777

# SPDX-License-Identifier: Apache-2.0
"""Manifests are appended completely, to a file or to standard output."""

from __future__ import annotations

import errno
import json
import os
from typing import TYPE_CHECKING

import pytest
import yaml

from oompolicy_agent.victims.manifestfile import Output, as_json_line, as_yaml

if TYPE_CHECKING:
    from pathlib import Path

ONE = {"kind": "Event", "metadata": {"name": "a"}, "note": 'ü "x": \\ # 1'}
TWO = {"kind": "Event", "metadata": {"name": "b"}, "note": "- yes"}


def test_a_file_gets_yaml_documents(tmp_path: Path) -> None:
    """The documents can be read by `kubectl apply -f`."""
    path = tmp_path / "events.yaml"
    for each in (ONE, TWO):
        Output(str(path)).write(each)

    assert [ONE, TWO] == list(yaml.safe_load_all(path.read_text()))
    assert as_yaml(ONE) + as_yaml(TWO) == path.read_text()


def test_a_file_gets_json_lines(tmp_path: Path) -> None:
    """Each object is one line."""
    path = tmp_path / "events.json"
    for each in (ONE, TWO):
        Output(str(path), "json").write(each)

    assert [ONE, TWO] == [json.loads(line) for line in path.read_text().splitlines()]


def test_standard_output_is_a_dash(capfd: pytest.CaptureFixture[str]) -> None:
    """Each manifest is flushed at once."""
    Output("-", "json").write(ONE)

    assert as_json_line(ONE) == capfd.readouterr().out


def test_a_rotated_file_is_created_again(tmp_path: Path) -> None:
    """The next manifest is in the new file."""
    path, output = tmp_path / "events", Output(str(tmp_path / "events"))
    output.write(ONE)
    path.rename(tmp_path / "events.1")
    output.write(TWO)

    assert TWO == yaml.safe_load(path.read_text())


def test_half_a_manifest_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a full disk the file is as before, so the retry can append to it."""
    path, output = tmp_path / "events", Output(str(tmp_path / "events"))
    output.write(ONE)
    write = os.write

    def half(fd: int, data: memoryview) -> int:
        if len(data) < 20:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, data[:10])

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", half)
        with pytest.raises(OSError, match="No space left"):
            output.write(TWO)
    output.write(TWO)

    assert [ONE, TWO] == list(yaml.safe_load_all(path.read_text()))


def test_a_target_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    """The victim stays spooled."""
    with pytest.raises(FileNotFoundError):
        Output(str(tmp_path / "absent" / "events")).write(ONE)


def test_a_pipe_is_a_target(tmp_path: Path) -> None:
    """A pipe can be neither synced nor cut. Without a reader the write is an error and does not block."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    with pytest.raises(OSError, match="No such device or address"):
        Output(str(fifo)).write(ONE)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    Output(str(fifo)).write(ONE)
    read = os.read(reader, 65_536)
    os.close(reader)

    assert as_yaml(ONE) == read.decode()


def test_the_end_of_a_file_has_its_last_manifest(tmp_path: Path) -> None:
    """If the last manifest is incomplete, the end counts as empty."""
    path = tmp_path / "events"
    output, nothing = Output(str(path)), Output(str(path)).last()
    for number in range(500):
        output.write({**ONE, "metadata": {"name": f"a-{number}"}})
    whole = output.last()
    path.write_bytes(path.read_bytes()[:-3])

    assert (b"", b"") == (nothing, output.last())
    assert b"a-499" in whole
    assert len(whole) == 8192
    assert b"" == Output("-").last()

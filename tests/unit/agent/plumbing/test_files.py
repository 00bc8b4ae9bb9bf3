# SPDX-License-Identifier: Apache-2.0
"""Files are read as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from oompolicy_agent.plumbing import files
from oompolicy_agent.plumbing.files import content

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("size", [0, 10, 1_000_000])
def test_a_file_of_any_size_is_read_as_a_whole(tmp_path: Path, size: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(size))

    assert bytes(size) == content(path)


def test_parts_of_a_file_are_put_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel returns no more than a page of some files at a time."""
    monkeypatch.setattr(files, "_PART", 7)
    path = tmp_path / "file"
    path.write_bytes(bytes(range(100)))

    assert bytes(range(100)) == content(path)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        content(tmp_path / "none")

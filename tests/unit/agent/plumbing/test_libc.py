# SPDX-License-Identifier: Apache-2.0
"""The file system of a path, and the error of a call through ctypes."""

from __future__ import annotations

import ctypes
import errno
import re
from pathlib import Path

import pytest

from oompolicy_agent.plumbing.libc import filesystem_magic, last_error

PROC_SUPER_MAGIC = 0x9FA0  # include/uapi/linux/magic.h


def test_a_path_has_the_magic_of_its_file_system() -> None:
    """The number is the same for each file of /proc."""
    assert PROC_SUPER_MAGIC == filesystem_magic(Path("/proc"))
    assert PROC_SUPER_MAGIC == filesystem_magic(Path("/proc/self/status"))


def test_a_missing_path_is_an_error_with_its_name(tmp_path: Path) -> None:
    """The caller decides whether a missing file is an error."""
    with pytest.raises(FileNotFoundError, match=re.escape(str(tmp_path / "missing"))):
        filesystem_magic(tmp_path / "missing")


def test_the_last_error_has_number_text_and_subject() -> None:
    """The subclass of OSError follows from the number."""
    ctypes.set_errno(errno.EEXIST)
    error = last_error("/pins/maps")

    assert isinstance(error, FileExistsError)
    assert "[Errno 17] File exists: '/pins/maps'" == str(error)

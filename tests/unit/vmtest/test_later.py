# SPDX-License-Identifier: Apache-2.0
"""The kernel of Debian's next release comes in several packages, and its modules are built for each run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from vmtest import kernels
from vmtest.image import Image, Kernel
from vmtest.later import KERNELS, needed
from vmtest.suite import Result, selection, table

if TYPE_CHECKING:
    from pathlib import Path

RECORD = """\
Package: linux-image-7.2.12+deb14-cloud-amd64
Depends: linux-base-7.2.12+deb14-cloud-amd64 (= 7.2.12-1), linux-binary-7.2.12+deb14-cloud-amd64 (= 7.2.12-1), \
linux-modules-7.2.12+deb14-cloud-amd64 (= 7.2.12-1)
"""
HEADERS = """\
Depends: gcc-16-for-host, linux-headers-7.2.12+deb14-common (= 7.2.12-1), linux-kbuild-7.2.12+deb14
"""


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (RECORD, ["linux-binary-7.2.12+deb14-cloud-amd64", "linux-modules-7.2.12+deb14-cloud-amd64"]),
        (HEADERS, ["linux-headers-7.2.12+deb14-common", "linux-kbuild-7.2.12+deb14"]),
    ],
)
def test_the_packages_with_files_of_the_kernel_are_found(record: str, expected: list[str]) -> None:
    """The others are for an installed system."""
    assert expected == needed(record)


def test_a_guest_can_be_started_with_each_of_them() -> None:
    assert set(KERNELS) < set(kernels.names())


def test_they_run_the_tests_of_the_module() -> None:
    assert ["tests/node", "--ignore=tests/node/test_docs.py"] == selection("forky")
    assert "| `forky` | 7.2 | `kernel/module` |" in table([Result("forky", "7.2", 0, 1, 0, 1.0)])


def test_other_kernels_need_no_further_modules(tmp_path: Path) -> None:
    """Theirs are among the artifacts, or they take none."""
    for name in set(kernels.names()) - set(KERNELS):
        assert {} == kernels.modules(Image(tmp_path), Kernel(name, "1", tmp_path, tmp_path), tmp_path)

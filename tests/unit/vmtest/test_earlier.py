# SPDX-License-Identifier: Apache-2.0
"""The kernels of earlier Debian releases get an initrd with the modules that they have."""

from __future__ import annotations

import lzma
from typing import TYPE_CHECKING

from vmtest import kernels
from vmtest.earlier import KERNELS, modules
from vmtest.suite import Result, selection, table

if TYPE_CHECKING:
    from pathlib import Path


def test_the_modules_of_the_release_come_in_the_order_of_loading(tmp_path: Path) -> None:
    """A module that a release does not have is left out. The others are compressed, as the initrd's builder expects."""
    for name in ("virtio_blk", "virtio", "virtio_ring", "virtio_pci", "virtio_net"):
        (tmp_path / "kernel/drivers" / name).mkdir(parents=True)
        (tmp_path / "kernel/drivers" / name / f"{name}.ko").write_bytes(name.encode())

    found = list(modules(tmp_path))
    assert ["virtio", "virtio_ring", "virtio_pci", "virtio_blk"] == [module.stem for module in found]
    assert b"virtio_pci" == lzma.decompress(found[2].read_bytes())


def test_a_guest_can_be_started_with_each_of_them() -> None:
    assert set(KERNELS) < set(kernels.names())


def test_they_run_the_tests_that_need_no_hook() -> None:
    names = ("observe", "kernel_log", "scores", "trace")

    assert [f"tests/node/test_{each}.py" for each in names] == selection("bullseye")
    assert "| `bullseye` | 5.10 | none |" in table([Result("bullseye", "5.10", 0, 1, 0, 1.0)])

# SPDX-License-Identifier: Apache-2.0
"""The initrd has the modules in the order of their loading, and the scripts of this boot."""

import os
import shutil
from pathlib import Path

import pytest

from vmtest.errors import ImageError
from vmtest.initrd import append_scripts, modules_in_order

pytestmark = pytest.mark.skipif(
    shutil.which("cpio") is None and os.environ.get("CI") != "true",
    reason="cpio is not installed: scripts/setup installs it",
)


def test_a_modules_dependencies_are_loaded_before_it(tmp_path: Path) -> None:
    (tmp_path / "modules.dep").write_text(
        "kernel/other.ko.xz:\n"
        "kernel/virtio_blk.ko.xz: kernel/virtio.ko.xz kernel/virtio_ring.ko.xz\n"
        "kernel/virtio.ko.xz: kernel/virtio_ring.ko.xz\n"
    )

    assert ["virtio_ring.ko.xz", "virtio.ko.xz", "virtio_blk.ko.xz"] == [
        path.name for path in modules_in_order(tmp_path)
    ]


def test_a_kernel_without_the_disks_driver_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "modules.dep").write_text("kernel/other.ko.xz:\n")

    with pytest.raises(ImageError, match="virtio_blk"):
        modules_in_order(tmp_path)


@pytest.mark.parametrize("size", [4, 5, 7])
def test_the_scripts_of_this_boot_follow_the_image_on_a_four_byte_boundary(tmp_path: Path, size: int) -> None:
    (tmp_path / "base").write_bytes(b"x" * size)

    append_scripts(tmp_path / "base", {"command": "#!/bin/sh\necho mark-of-this-boot\n"}, tmp_path / "combined")

    combined = (tmp_path / "combined").read_bytes()
    assert combined.index(b"070701") in {4, 8}
    assert b"mark-of-this-boot" in combined
    # These are init, start, command and the trailer.
    assert combined.count(b"070701") == 4

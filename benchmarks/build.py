# SPDX-License-Identifier: Apache-2.0
"""Build the benchmark's BPF objects and processes with the image's tools."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vmtest.chroot import chroot_run

if TYPE_CHECKING:
    from vmtest.image import Image

SOURCES: Final = Path(__file__).parent


def build(image: Image, folder: Path) -> Path:
    """Build below the empty `folder`, and return the folder of the results."""
    for part in ("bpf", "workload"):
        shutil.copytree(SOURCES / part, folder / part)
        command = ["make", "-C", f"/mnt/build/{part}", "OUT=/mnt/build/out"]
        chroot_run(image, command, {"build": folder}, folder / "build.log")
    return folder / "out"

# SPDX-License-Identifier: Apache-2.0
"""All kernels of a guest: the image's own, earlier and later ones, those with the hook, and those of arm64."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmtest import earlier, foreign, later, packages
from vmtest.image import Image, Kernel, ensure_image
from vmtest.patched.build import ensure_kernel
from vmtest.patched.recipe import recipes

if TYPE_CHECKING:
    from pathlib import Path


def names() -> list[str]:
    """Return the names of all kernels, the stock kernels first."""
    return [*packages.KERNELS, *later.KERNELS, *earlier.KERNELS, *foreign.KERNELS, *recipes()]


def image_for(name: str) -> Image:
    """Return the image with which a kernel starts. Make it now if it does not exist."""
    return foreign.ensure_image() if name in foreign.KERNELS else ensure_image()


def find(image: Image, name: str) -> Kernel:
    """Return a kernel by its name. Build or fetch it now if it is not in the image and does not exist."""
    if name in earlier.KERNELS:
        return earlier.ensure_kernel(image, name)
    if name in later.KERNELS:
        return later.ensure_kernel(image, name)
    return ensure_kernel(image, name) if name in recipes() else image.kernel(name)


def modules(image: Image, kernel: Kernel, work: Path) -> dict[str, Path]:
    """Return what a kernel needs beside the artifacts, by its place below /checkout. It is made in `work`."""
    return later.modules(image, kernel, work) if kernel.name in later.KERNELS else {}

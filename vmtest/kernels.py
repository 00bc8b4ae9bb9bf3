# SPDX-License-Identifier: Apache-2.0
"""All kernels that a guest can be started with: the image's own, and those that are built with the hook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmtest import packages
from vmtest.patched.build import ensure_kernel
from vmtest.patched.recipe import recipes

if TYPE_CHECKING:
    from vmtest.image import Image, Kernel


def names() -> list[str]:
    """Those of stock kernels first."""
    return [*packages.KERNELS, *recipes()]


def find(image: Image, name: str) -> Kernel:
    """A kernel by its name, built now if it is one of ours and not there."""
    return ensure_kernel(image, name) if name in recipes() else image.kernel(name)

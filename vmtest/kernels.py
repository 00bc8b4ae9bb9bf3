# SPDX-License-Identifier: Apache-2.0
"""All kernels that a guest can be started with: the image's own, and the kernels that are built with the hook."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmtest import packages
from vmtest.patched.build import ensure_kernel
from vmtest.patched.recipe import recipes

if TYPE_CHECKING:
    from vmtest.image import Image, Kernel


def names() -> list[str]:
    """Return the names of all kernels, the stock kernels first."""
    return [*packages.KERNELS, *recipes()]


def find(image: Image, name: str) -> Kernel:
    """Return a kernel by its name. Build it now if it is one of ours and does not exist."""
    return ensure_kernel(image, name) if name in recipes() else image.kernel(name)

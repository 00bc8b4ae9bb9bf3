# SPDX-License-Identifier: Apache-2.0
"""The kernels of earlier Debian releases, without their userland: the guest's root stays that of the image.

A kernel is fetched when it is first used. The key covers what this project decides, as with the image, and not the
archive's state. These kernels take no module of ours, so they need no headers, and their modules stay out of the root.
"""

from __future__ import annotations

import lzma
from typing import TYPE_CHECKING, Final

from vmtest import archive, initrd, packages

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from vmtest.image import Image, Kernel

KERNELS: Final = ("bookworm", "bullseye")
"""The suites, which are also the names of the kernels: Debian 12 with Linux 6.1, and Debian 11 with Linux 5.10."""

META: Final = packages.KERNEL_METAS[0]

MODULES: Final = (
    *("virtio", "virtio_ring", "virtio_pci_legacy_dev", "virtio_pci_modern_dev"),
    *("virtio_pci", "virtio_console", "virtio_blk"),
)
"""The modules between these kernels and the root disk, in the order in which they are loaded. 5.10 has no two modules
of devices: they are part of its virtio_pci. There is no modules.dep yet, because depmod makes it at installation."""


def ensure_kernel(image: Image, name: str) -> Kernel:
    """Return the kernel of a suite, fetched now if it is not there."""
    return archive.ensure_kernel(image, name, fetch, __file__)


def fetch(image: Image, name: str, work: Path) -> None:
    """Fetch the package of the kernel, and keep what QEMU starts the kernel with."""
    with archive.opened(name) as suite:
        package = packages.versioned_package(suite.show(META))
        take(image, suite.unpack([package], work), package.removeprefix("linux-image-"), work)


def take(image: Image, tree: Path, release: str, work: Path) -> None:
    """Write kernel, initrd and release from the tree of a package."""
    (work / "vmlinuz").write_bytes((tree / "boot" / f"vmlinuz-{release}").read_bytes())
    (work / "release").write_text(f"{release}\n")
    initrd.write_initrd(image.root, list(modules(tree / "lib/modules" / release)), work / "initrd.img")


def modules(folder: Path) -> Iterator[Path]:
    """Yield the modules for the initrd, compressed as those of the image are: these releases do not compress them."""
    for name in MODULES:
        for module in folder.rglob(f"{name}.ko"):
            module.write_bytes(lzma.compress(module.read_bytes()))
            yield module

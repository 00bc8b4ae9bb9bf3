# SPDX-License-Identifier: Apache-2.0
"""The kernels of earlier Debian releases, without their userland: the guest's root stays that of the image.

A kernel is fetched when it is first used. The key covers what this project decides, as with the image, and not the
archive's state. These kernels take no module of ours, so they need no headers, and their modules stay out of the root.
"""

from __future__ import annotations

import lzma
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from vmtest import initrd, mirror, packages
from vmtest.cache import cache_dir, digest, locked, publishing
from vmtest.errors import ImageError
from vmtest.image import Kernel
from vmtest.progress import run_logged, step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vmtest.image import Image

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
    folder = cache_dir() / "kernels" / name / kernel_key(image)
    with locked(folder.with_name(f"{folder.name}.lock")):
        if not folder.exists():
            with step(f"kernel {name}, from Debian's archive"), publishing(folder) as work:
                fetch(image, name, work)
    return Kernel(name, (folder / "release").read_text().strip(), folder / "vmlinuz", folder / "initrd.img")


def kernel_key(image: Image) -> str:
    """Hash all that decides what is made of a package. The image has the initrd's busybox."""
    return digest([image.key.encode(), *(Path(module).read_bytes() for module in (__file__, initrd.__file__))])


def fetch(image: Image, name: str, work: Path) -> None:
    """Fetch the package of the kernel, and keep what QEMU starts the kernel with."""
    source = mirror.find_mirror(mirror.read_sources(), mirror.machine_codename())
    lines = mirror.source_lines(source, [name])
    with tempfile.TemporaryDirectory(prefix="oompolicy-kernel-") as folder:
        apt = ["env", f"APT_CONFIG={packages.write_apt_config(Path(folder), lines, mirror.transport_options())}"]
        packages.query(*apt, "apt-get", "update", "-qq", "--error-on=any")
        package = packages.versioned_package(packages.query(*apt, "apt-cache", "--no-all-versions", "show", META))
        tree = Path(folder, "tree")
        run_logged(
            ["sh", "-euc", 'cd "$1"; shift; "$@"', "sh", folder, *apt, "apt-get", "download", "-qq", package],
            work / "download.log",
            error=ImageError,
        )
        (archive,) = Path(folder).glob("*.deb")
        run_logged(["dpkg-deb", "--extract", str(archive), str(tree)], work / "extract.log", error=ImageError)
        take(image, tree, package.removeprefix("linux-image-"), work)


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

# SPDX-License-Identifier: Apache-2.0
"""Packages of another Debian release, unpacked without installing them, and the kernels made of them."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vmtest import initrd, mirror, packages
from vmtest.cache import cache_dir, digest, locked, publishing
from vmtest.errors import ImageError
from vmtest.image import Kernel
from vmtest.progress import run_logged, step

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from vmtest.image import Image


@dataclass(frozen=True)
class Archive:
    """A release in Debian's archive. `folder` is deleted after use, and `apt` is the beginning of an apt command."""

    folder: Path
    apt: Sequence[str]

    def show(self, package: str) -> str:
        """Return the record of a package."""
        return packages.query(*self.apt, "apt-cache", "--no-all-versions", "show", package)

    def unpack(self, names: Sequence[str], logs: Path) -> Path:
        """Return a tree with the files of these packages."""
        tree = self.folder / "tree"
        download = ["sh", "-euc", 'cd "$1"; shift; "$@"', "sh", str(self.folder), *self.apt]
        run_logged([*download, "apt-get", "download", "-qq", *names], logs / "download.log", error=ImageError)
        for package in self.folder.glob("*.deb"):
            run_logged(["dpkg-deb", "--extract", str(package), str(tree)], logs / "extract.log", error=ImageError)
        return tree


@contextlib.contextmanager
def opened(suite: str) -> Iterator[Archive]:
    """Yield the archive of a suite, with its current lists of packages."""
    source = mirror.find_mirror(mirror.read_sources(), mirror.machine_codename())
    lines = mirror.source_lines(source, [suite])
    with tempfile.TemporaryDirectory(prefix="oompolicy-archive-") as name:
        config = packages.write_apt_config(Path(name), lines, mirror.transport_options())
        apt = ("env", f"APT_CONFIG={config}")
        packages.query(*apt, "apt-get", "update", "-qq", "--error-on=any")
        yield Archive(Path(name), apt)


def ensure_kernel(image: Image, name: str, fetch: Callable[[Image, str, Path], None], *code: str) -> Kernel:
    """Return the kernel of a suite. If it is not in the cache, `fetch` writes its files into a folder now.

    `code` has the files of the modules that decide what is made of the packages.
    """
    folder = cache_dir() / "kernels" / name / kernel_key(image, *code)
    with locked(folder.with_name(f"{folder.name}.lock")):
        if not folder.exists():
            with step(f"kernel {name}, from Debian's archive"), publishing(folder) as work:
                fetch(image, name, work)
    return Kernel(name, (folder / "release").read_text().strip(), folder / "vmlinuz", folder / "initrd.img")


def kernel_key(image: Image, *code: str) -> str:
    """Hash all that decides what is made of the packages. The image has the initrd's busybox."""
    modules = (*code, __file__, initrd.__file__)
    return digest([image.key.encode(), *(Path(module).read_bytes() for module in modules)])

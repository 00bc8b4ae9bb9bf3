# SPDX-License-Identifier: Apache-2.0
"""Make the guest's image, or find it in the cache: `python3 -m vmtest.image [--refresh]`.

The key covers what this project decides (packages, builder), not the archive's state:
an image stays until those change or someone asks for fresh packages.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vmtest import initrd, mirror, packages
from vmtest.architecture import AMD64, Architecture
from vmtest.cache import cache_dir, digest, forget_old, locked, publishing
from vmtest.errors import HarnessError, ImageError
from vmtest.progress import run_logged, say, step

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FORMAT = 1
DISK_SIZE = "8G"
TOOLS = ["mmdebstrap", "mke2fs", "cpio", "apt-get"]

# Only trees that nothing reads in the guest.
EXCLUDED = ["/usr/share/man/*", "/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*"]


@dataclass(frozen=True)
class Kernel:
    """One kernel of the image, as QEMU starts it."""

    name: str
    release: str
    vmlinuz: Path
    initrd: Path


@dataclass(frozen=True)
class Image:
    """A finished image in the cache."""

    folder: Path
    architecture: Architecture = AMD64

    @property
    def key(self) -> str:
        """The hash of what the image was made from."""
        return self.folder.name

    @property
    def disk(self) -> Path:
        """The root file system as QEMU reads it."""
        return self.folder / "root.img"

    @property
    def root(self) -> Path:
        """The same tree, for builds in a chroot."""
        return self.folder / "root"

    @property
    def kernels(self) -> list[str]:
        """The names of the kernels in the image."""
        return sorted(path.name for path in (self.folder / "kernels").iterdir())

    def kernel(self, name: str) -> Kernel:
        """Return a kernel by the name of the suite it comes from."""
        folder = self.folder / "kernels" / name
        return Kernel(name, (folder / "release").read_text().strip(), folder / "vmlinuz", folder / "initrd.img")


def image_key() -> str:
    """Hash everything in this project that decides what is in the image."""
    sources = [Path(module.__file__ or "").read_bytes() for module in (packages, initrd)]
    return digest([str(FORMAT).encode(), DISK_SIZE.encode(), *map(str.encode, EXCLUDED), *sources])


def ensure_image(*, refresh: bool = False) -> Image:
    """Return the image for today's inputs, made now if it is not there."""
    image = Image(cache_dir() / "guest" / image_key())
    with locked(image.folder.parent / f"{image.key}.lock"):
        if refresh or not image.disk.exists():
            build_image(image, packages.KERNELS, make_root)
    return image


def build_image(image: Image, kernels: Sequence[str], fill: Callable[[Path], Sequence[str]]) -> None:
    """Make root tree, kernels and disk, and publish them together.

    `fill` makes the tree `root` in a folder, and returns the releases of `kernels`.
    """
    if os.geteuid() != 0:
        raise ImageError("making the image takes root: chroot and the owners of its files")
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        raise ImageError(f"not installed: {', '.join(missing)}; scripts/setup installs them")
    with publishing(image.folder) as work:
        releases = fill(work)
        with step("image: kernels and initrds"):
            for name, release in zip(kernels, releases, strict=True):
                take_kernel(work, name, release)
        with step("image: disk"):
            make_disk(work)
    forget_old(image.folder)
    say(f"image: {image.folder}")


def make_root(work: Path) -> list[str]:
    """Install the packages into a directory; return the kernels' releases."""
    source = mirror.find_mirror(mirror.read_sources(), mirror.machine_codename())
    lines = mirror.source_lines(source, packages.SUITES)
    options = mirror.transport_options()
    with step("image: today's kernel packages"):
        kernels = packages.kernel_packages(lines, options)
    say(f"image: {' '.join(kernels)}")
    with step("image: packages (one to two minutes)"):
        install(mmdebstrap(work / "root", [*packages.PACKAGES, *kernels], lines, options), work)
    images = [package for package in kernels if package.startswith("linux-image-")]
    return [package.removeprefix("linux-image-").partition("/")[0] for package in images]


def install(command: Sequence[str], work: Path) -> None:
    """Run mmdebstrap, with its output in a log in `work`."""
    # No initramfs: the kernels' own hooks honour this, and we make a smaller one.
    env = {**os.environ, "INITRD": "No", "DEBIAN_FRONTEND": "noninteractive"}
    run_logged(command, work / "mmdebstrap.log", error=ImageError, env=env)


def mmdebstrap(
    target: Path,
    wanted: Sequence[str],
    lines: Sequence[str],
    options: Sequence[str],
    architecture: Architecture = AMD64,
) -> list[str]:
    """Write the command that installs everything in one go."""
    dpkg = ["force-unsafe-io", *(f"path-exclude={path}" for path in EXCLUDED)]
    return [
        "mmdebstrap",
        "--mode=root",
        "--variant=apt",
        "--format=directory",
        f"--architectures={architecture.debian}",
        # The check needs the package arch-test. We register QEMU for another architecture ourselves.
        *([] if architecture.is_native() else ["--skip=check/qemu"]),
        f"--include={','.join(wanted)}",
        '--aptopt=APT::Install-Recommends "false"',
        *(f"--aptopt={option}" for option in options),
        *(f"--dpkgopt={option}" for option in dpkg),
        packages.RELEASE,
        str(target),
        *lines,
    ]


def take_kernel(work: Path, name: str, release: str) -> None:
    """Copy what QEMU starts to a place that does not carry the version in its name."""
    folder = work / "kernels" / name
    folder.mkdir(parents=True)
    shutil.copyfile(work / "root/boot" / f"vmlinuz-{release}", folder / "vmlinuz")
    modules = initrd.modules_in_order(work / "root/usr/lib/modules" / release)
    initrd.write_initrd(work / "root", modules, folder / "initrd.img")
    (folder / "release").write_text(f"{release}\n")


def make_disk(work: Path) -> None:
    """Turn the tree into a file system, without mounting anything."""
    disk = work / "root.img"
    # No journal: every boot writes to a throw-away snapshot.
    command = ["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-E", "lazy_itable_init=1", "-m", "0", "-L", "root"]
    run_logged([*command, "-d", str(work / "root"), str(disk), DISK_SIZE], work / "mke2fs.log", error=ImageError)


def main() -> int:
    """Make the image and print where it is."""
    parser = argparse.ArgumentParser(prog="python3 -m vmtest.image", description="Make or find the guest's image.")
    parser.add_argument("--refresh", action="store_true", help="make it anew, with the archive's packages of today")
    arguments = parser.parse_args()
    try:
        image = ensure_image(refresh=arguments.refresh)
    except HarnessError as error:
        print(f"harness: {error}", file=sys.stderr)
        return 1
    print(image.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())

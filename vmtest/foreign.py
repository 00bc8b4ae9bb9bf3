# SPDX-License-Identifier: Apache-2.0
"""The guest for arm64: Debian 13's packages and its cloud kernel of that architecture, in an image of its own.

The image is made when a command first asks for it. Its programs run on this machine through QEMU: dpkg in
mmdebstrap's root, and the compilers in our builds. The guest itself is always emulated on another architecture.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from vmtest import binfmt, image, mirror, packages
from vmtest.architecture import ARM64
from vmtest.cache import cache_dir, digest, locked
from vmtest.progress import say, step

KERNELS: Final = ("trixie-arm64",)
"""The names of the kernels: Debian 13's own."""

METAS: Final = ("linux-image-cloud-arm64", "linux-headers-cloud-arm64")
SUITES: Final = ("trixie", "trixie-updates")
"""The suites have one kernel, so the meta packages themselves can be installed."""


def image_key() -> str:
    """Hash all that decides what is in the image."""
    return digest([image.image_key().encode(), Path(__file__).read_bytes()])


def ensure_image() -> image.Image:
    """Return the image for today's inputs, made now if it does not exist. This machine then runs its programs.

    Raises:
        ImageError: The image could not be made, or this machine cannot run its programs.
    """
    # A folder of its own, because a new image removes old ones beside it.
    made = image.Image(cache_dir() / "guest-arm64" / image_key(), ARM64)
    binfmt.ensure_registered(ARM64)
    with locked(made.folder.parent / f"{made.key}.lock"):
        if not made.disk.exists():
            image.build_image(made, KERNELS, make_root)
    return made


def make_root(work: Path) -> list[str]:
    """Install the packages into a directory, and return the release of the kernel."""
    source = mirror.find_mirror(mirror.read_sources(), mirror.machine_codename())
    lines = mirror.source_lines(source, list(SUITES))
    wanted = [*packages.PACKAGES, *METAS]
    with step("image: packages of arm64, installed under emulation (ten minutes)"):
        image.install(image.mmdebstrap(work / "root", wanted, lines, mirror.transport_options(), ARM64), work)
    releases = [path.name.removeprefix("vmlinuz-") for path in (work / "root/boot").glob("vmlinuz-*")]
    say(f"image: {' '.join(releases)}")
    return releases

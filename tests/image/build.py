# SPDX-License-Identifier: Apache-2.0
"""Build the images, or find them in the cache: `python3 -m tests.image.build` prints the folder.

The result is oompolicy.tar, oompolicy-loader.tar and oompolicy-debug.tar, as `docker save` writes them (`docker load`,
`ctr images import`).
The file `packages` has "locked", or "today" if the archive no longer has the versions of image/debian.lock.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.image import base, docker, engine, outside
from tests.image.archive import Archive
from tests.image.errors import DockerError
from vmtest.cache import CHECKOUT, cache_dir, digest, file_parts, forget_old, locked, publishing
from vmtest.checkout import checkout_files
from vmtest.errors import HarnessError
from vmtest.progress import last_lines, say, step

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.image.docker import Docker

INSTALLED: Final = ("oompolicy", "oompolicy-loader")
"""The images that an installation runs."""
NAMES: Final = (*INSTALLED, "oompolicy-debug")
LOCK: Final = CHECKOUT / "image/debian.lock"
EPOCH: Final = CHECKOUT / "image/source-date-epoch"
# The same as in .dockerignore.
INPUTS: Final = ("Dockerfile", ".dockerignore", "pyproject.toml", "LICENSES", "operator", "agent", "bpf", "debug")
INPUT_FOLDERS: Final = ("kernel/module", "image")
OTHER_VERSIONS: Final = 3
"""The exit status of image/install if the archive has other versions than the lock."""
SHOWN_LINES: Final = 40


@dataclass(frozen=True)
class Images:
    """The images in the cache."""

    folder: Path

    def tar(self, name: str) -> Path:
        """Return the path of one image."""
        return self.folder / f"{name}.tar"

    def archive(self, name: str) -> Archive:
        """Return one image for reading."""
        return Archive(self.tar(name))

    @property
    def packages(self) -> str:
        """`locked` or `today`."""
        return (self.folder / "packages").read_text().strip()


def inputs() -> list[Path]:
    """Return all files of the checkout that a build may read."""
    tops = {CHECKOUT / name for name in (*INPUTS, *INPUT_FOLDERS)}
    return [path for path in checkout_files(CHECKOUT) if tops.intersection((path, *path.parents))]


def images_key(files: Sequence[Path]) -> str:
    """Hash sources and recipe."""
    recipe = [Path(module.__file__ or "").read_bytes() for module in (base, engine, outside)]
    return digest([Path(__file__).read_bytes(), *recipe, *file_parts(CHECKOUT, files)])


def ensure_images() -> Images:
    """Return the current images. Build them now if they do not exist."""
    return ensure("images")


def ensure_second_build() -> Images:
    """Return another build of the images by an engine that has never built anything, for a comparison."""
    return ensure("images-again")


def ensure(kind: str) -> Images:
    """Build into a folder of the cache, on Docker's usual data or on fresh ones."""
    files = inputs()
    target = cache_dir() / kind / images_key(files)
    with locked(target.with_name(f"{target.name}.lock")):
        if not target.exists():
            with step("images: building both (two to ten minutes)"), publishing(target) as work:
                build(files, work, fresh=kind != "images")
            forget_old(target)
            say(f"images: {target}")
    return Images(target)


def build(files: Sequence[Path], work: Path, *, fresh: bool) -> None:
    """Start an engine, and build with the locked versions if the archive has them."""
    layout = base.ensure_base(LOCK.read_bytes(), int(EPOCH.read_text()))
    with tempfile.TemporaryDirectory(prefix="oompolicy-image-") as name:
        outer = Path(name)
        prepare(files, outer, int(EPOCH.read_text()))
        data = outer / "data" if fresh else None
        if data:
            data.mkdir()
        with docker.running_docker({"build": outer, "base": layout, "result": work}, data) as running:
            (work / "packages").write_text(f"{build_all(running, outer)}\n")


def build_all(running: Docker, outer: Path) -> str:
    """Build all images with the same versions, and return the kind of the versions: `locked` or `today`."""
    if all(build_image(running, outer, name, "locked") for name in NAMES):
        return "locked"
    say("images: Debian's archive has moved on from image/debian.lock: building with today's packages.")
    say("images: `python3 -m tests.image.lock` writes a new lock.")
    for name in NAMES:
        build_image(running, outer, name, "today")
    return "today"


def build_image(running: Docker, outer: Path, name: str, packages: str) -> bool:
    """Return True if the image was built, or False if the archive has other versions. DockerError for other errors."""
    result = f"--output=type=docker,dest=/mnt/result/{name}.tar,rewrite-timestamp=true"
    log = outer / "log"
    with log.open("wb") as output:
        argv = buildx(running, outer, name, packages, result)
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, check=False)
    if done.returncode == 0:
        return True
    text = log.read_text(errors="replace")
    if packages == "locked" and f"exit code: {OTHER_VERSIONS}" in text:
        return False
    raise DockerError(f"docker buildx build of {name} failed:\n{last_lines(log, SHOWN_LINES)}")


def buildx(running: Docker, outer: Path, target: str, packages: str, result: str) -> list[str]:
    """Write the command that docs/images.md shows, with the options that this machine needs."""
    names = sorted(path.name for path in (outer / "secrets").iterdir())
    secrets = [f"--secret=id={name},src=/mnt/build/secrets/{name}" for name in names]
    added = [f"--build-context={base.NAME}=oci-layout:///mnt/base:latest", f"--build-arg=PACKAGES={packages}"]
    network = ["--network=host", *outside.proxies(os.environ)]
    return running.argv(
        "/mnt/build/context/image/build", target, "--progress=plain", *added, *network, *secrets, result
    )


def prepare(files: Sequence[Path], outer: Path, epoch: int) -> None:
    """Lay out context and secrets. Owner, mode and time of a file do not depend on the checkout."""
    context = outer / "context"
    for path in files:
        copy = context / path.relative_to(CHECKOUT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy, follow_symlinks=False)
        if not copy.is_symlink():
            copy.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
    normalise(context, epoch)
    folder = outer / "secrets"
    folder.mkdir(mode=0o700)
    for name, text in outside.secrets().items():
        (folder / name).write_text(text)


def normalise(context: Path, epoch: int) -> None:
    """Give all files in the context one time, and all folders one mode."""
    for path in [context, *context.rglob("*")]:
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
        os.utime(path, (epoch, epoch), follow_symlinks=False)


def main() -> int:
    """Build, and print the folder of the result."""
    try:
        print(ensure_images().folder)
    except HarnessError as error:
        print(f"images: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

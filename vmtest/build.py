# SPDX-License-Identifier: Apache-2.0
"""Build BPF objects, the module and the tests' workload with the image's tools: `python3 -m vmtest.build`.

Result, cached by hash of inputs: bpf/*.o, module-<kernel>/*.ko, workload/*.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from vmtest.cache import CHECKOUT, cache_dir, digest, file_parts, locked, publishing
from vmtest.checkout import checkout_files
from vmtest.chroot import chroot_run
from vmtest.errors import HarnessError
from vmtest.image import Image, ensure_image
from vmtest.progress import step

if TYPE_CHECKING:
    from collections.abc import Sequence

BPF = "bpf"
WORKLOAD = "tests/node/workload"
MODULES = ("kernel/module", f"{WORKLOAD}/samename")


def build_inputs() -> list[Path]:
    """List the sources that the three builds may read."""
    folders = [CHECKOUT / folder for folder in (BPF, *MODULES, WORKLOAD)]
    return [path for path in checkout_files(CHECKOUT) if any(folder in path.parents for folder in folders)]


def artifacts_key(image: Image, inputs: Sequence[Path]) -> str:
    """Hash sources, tools and recipe."""
    releases = [image.kernel(name).release.encode() for name in image.kernels]
    return digest([image.key.encode(), *releases, Path(__file__).read_bytes(), *file_parts(CHECKOUT, inputs)])


def ensure_artifacts(image: Image) -> Path:
    """Return the directory of what today's sources build to, built now if it is not there."""
    inputs = build_inputs()
    target = cache_dir() / "artifacts" / artifacts_key(image, inputs)
    with locked(target.with_name(f"{target.name}.lock")):
        if not target.exists():
            with step("build: BPF objects, modules, workload"), publishing(target) as work:
                build(image, inputs, work)
    return target


def build(image: Image, inputs: Sequence[Path], work: Path) -> None:
    """Run the Makefiles; one that is not there is skipped."""
    present = {str(path.relative_to(CHECKOUT)) for path in inputs}
    if f"{BPF}/Makefile" in present:
        make(image, inputs, work, BPF, "OUT=/mnt/build/bpf")
    if f"{WORKLOAD}/Makefile" in present:
        make(image, inputs, work, WORKLOAD, "OUT=/mnt/build/workload")
    for name in image.kernels:
        (work / f"module-{name}").mkdir()
        for folder in MODULES:
            if f"{folder}/Makefile" in present:
                make(image, inputs, work, folder, f"KDIR=/lib/modules/{image.kernel(name).release}/build")
                collect_modules(work / "src" / folder, work / f"module-{name}")
    shutil.rmtree(work / "src", ignore_errors=True)


def make(image: Image, inputs: Sequence[Path], work: Path, folder: str, variable: str) -> None:
    """Run make in a fresh copy of the sources, so that no build sees another's objects."""
    shutil.rmtree(work / "src", ignore_errors=True)
    for path in inputs:
        copy = work / "src" / path.relative_to(CHECKOUT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy, follow_symlinks=False)
    chroot_run(image, ["make", "-j2", "-C", f"/mnt/build/src/{folder}", variable], {"build": work}, work / "build.log")


def collect_modules(source: Path, target: Path) -> None:
    """Keep the modules of what Kbuild left."""
    for module in source.glob("*.ko"):
        shutil.copy2(module, target)


def main() -> int:
    """Build and print where the result is."""
    try:
        print(ensure_artifacts(ensure_image()))
    except HarnessError as error:
        print(f"harness: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

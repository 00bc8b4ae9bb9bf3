# SPDX-License-Identifier: Apache-2.0
"""A kernel's source tree beside its objects, worked on with the image's tools."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vmtest.cache import cache_dir
from vmtest.chroot import chroot_run
from vmtest.errors import BuildError
from vmtest.patched.recipe import check_options, fragments
from vmtest.patched.source import unpack
from vmtest.progress import run_logged

if TYPE_CHECKING:
    from collections.abc import Sequence

    from vmtest.image import Image
    from vmtest.patched.recipe import Recipe
    from vmtest.patched.source import Source

# In the chroot, always the same: ccache compares paths.
INSIDE = "/mnt/kernel"
CCACHE = "/mnt/ccache"

MAKE = [
    *("env", f"CCACHE_DIR={CCACHE}", "CCACHE_MAXSIZE=2G", "CCACHE_COMPILERCHECK=content"),
    # What a file includes is read from the compiler's own list; else each file is preprocessed once more for it.
    "CCACHE_DEPEND=1",
    # The same inputs make the same kernel.
    *("KBUILD_BUILD_TIMESTAMP=@0", "KBUILD_BUILD_USER=oompolicy", "KBUILD_BUILD_HOST=oompolicy"),
    # A build beside a guest takes only the time that the guest leaves. Tests with a deadline run there.
    *("nice", "-n", "10"),
    *("make", f"-j{os.cpu_count()}", "-C", f"{INSIDE}/source", f"O={INSIDE}/out", "CC=ccache gcc"),
]


@dataclass(frozen=True)
class Tree:
    """`folder` holds source/, out/ and what is said meanwhile."""

    image: Image
    folder: Path
    recipe: Recipe

    @property
    def log(self) -> Path:
        """Everything that the commands print."""
        return self.folder / "build.log"

    def prepare(self, source: Source) -> None:
        """Unpack the source and apply the patches, without fuzz.

        Raises:
            BuildError: One does not apply.
        """
        unpack(source, self.folder / "source", self.log)
        (self.folder / "out").mkdir()
        apply = ["env", f"GIT_CEILING_DIRECTORIES={self.folder}", "git", "-C", str(self.folder / "source"), "apply"]
        for patch in self.recipe.patches:
            run_logged([*apply, str(patch)], self.log, error=BuildError)

    def configure(self, arch: str, changes: str = "", variables: Sequence[str] = ()) -> None:
        """Everything off but the fragments, and `changes`, which come last.

        Raises:
            BuildError: Kconfig did not take all of it.
        """
        wanted = "\n".join([*(fragment.read_text() for fragment in fragments(self.recipe.line, arch)), changes])
        (self.folder / "fragment").write_text(wanted)
        self.make(*variables, f"KCONFIG_ALLCONFIG={INSIDE}/fragment", "allnoconfig")
        check_options(wanted, (self.folder / "out/.config").read_text())

    def make(self, *arguments: str) -> None:
        """Run make in the chroot."""
        self.run(*MAKE, *arguments)

    def run(self, *command: str) -> None:
        """Run a command in the chroot, where the folder is `INSIDE`.

        Raises:
            BuildError: It failed; the end of what it printed is in it.
        """
        ccache = cache_dir() / "ccache"
        ccache.mkdir(parents=True, exist_ok=True)
        chroot_run(self.image, command, {Path(INSIDE).name: self.folder, Path(CCACHE).name: ccache}, self.log)

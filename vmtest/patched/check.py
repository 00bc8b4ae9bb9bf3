# SPDX-License-Identifier: Apache-2.0
"""The checks of a reviewer of the series: the kernel's own style checker, and builds that must be silent."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from vmtest.cache import cache_dir
from vmtest.patched.source import ensure_source
from vmtest.patched.tree import INSIDE, Tree
from vmtest.progress import say, step

if TYPE_CHECKING:
    from vmtest.image import Image
    from vmtest.patched.recipe import Recipe

SILENT = ("W=1", "KCFLAGS=-Werror")
OBJECTS = ("mm/oom_kill.o", "mm/bpf_oom.o")

NO_BPF = (
    "CONFIG_BPF_SYSCALL=n\nCONFIG_BPF_JIT=n\nCONFIG_BPF_JIT_ALWAYS_ON=n\nCONFIG_CGROUP_BPF=n\nCONFIG_BPF_EVENTS=n\n"
)
NO_BPF += "CONFIG_DEBUG_INFO_BTF=n\n"
NO_MEMCG = "CONFIG_MEMCG=n\n"
CONFIGURATIONS = {
    "all of it": ("", OBJECTS),
    "no BTF": ("CONFIG_DEBUG_INFO_BTF=n\n", OBJECTS),
    "no memory cgroups": (NO_MEMCG, OBJECTS),
    "no BPF": (NO_BPF, OBJECTS[:1]),
    "neither": (NO_BPF + NO_MEMCG, OBJECTS[:1]),
}

# clang has all targets. gcc for another architecture is another package.
ARM64 = ("ARCH=arm64", "LLVM=1", "CC=clang")


def check(image: Image, recipe: Recipe) -> None:
    """Apply the patches, and fail at any complaint.

    Raises:
        BuildError: Shows the output of checkpatch or the compiler.
    """
    source = ensure_source(recipe.line)
    with tempfile.TemporaryDirectory(prefix="check-", dir=cache_dir() / "kernels") as name:
        tree = Tree(image, Path(name), recipe)
        with step(f"{recipe.name}: unpack and patch {source.version}"):
            tree.prepare(source)
        with step(f"{recipe.name}: checkpatch --strict"):
            checkpatch(tree)
        for title, (changes, objects) in CONFIGURATIONS.items():
            with step(f"{recipe.name}: {title}"):
                tree.configure("x86_64", changes)
                tree.make(*SILENT, *objects)
        with step(f"{recipe.name}: arm64, with clang"):
            tree.make("mrproper")
            tree.configure("arm64", variables=ARM64)
            tree.make(*ARM64, *SILENT, *OBJECTS)
    say(f"{recipe.name}: nothing to complain about")


def checkpatch(tree: Tree) -> None:
    """Run the kernel's own checkpatch, which ends with status 1 at any error, warning or check."""
    patches = tree.folder / "patches"
    patches.mkdir()
    for patch in tree.recipe.patches:
        shutil.copy2(patch, patches)
    names = [f"{INSIDE}/patches/{patch.name}" for patch in tree.recipe.patches]
    tree.run("perl", f"{INSIDE}/source/scripts/checkpatch.pl", "--strict", f"--root={INSIDE}/source", *names)

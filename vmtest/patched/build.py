# SPDX-License-Identifier: Apache-2.0
"""Build a kernel with the image's tools, or find it in the cache.

The key covers patches, configuration, recipe, tools and the version of the source. Between two of them most objects
are the same, and ccache has those.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from vmtest import initrd
from vmtest.cache import cache_dir, digest, locked, publishing
from vmtest.image import Kernel
from vmtest.patched import tree
from vmtest.patched.recipe import fragments, recipes
from vmtest.patched.source import ensure_source
from vmtest.progress import step

if TYPE_CHECKING:
    from vmtest.image import Image
    from vmtest.patched.recipe import Recipe
    from vmtest.patched.source import Source

KEPT = {"vmlinuz": "arch/x86/boot/bzImage", "config": ".config", "release": "include/config/kernel.release"}


def ensure_kernel(image: Image, name: str, *, refresh: bool = False) -> Kernel:
    """Return a kernel by the name of its recipe, built now if it is not there."""
    recipe = recipes()[name]
    source = ensure_source(recipe.line, refresh=refresh)
    folder = cache_dir() / "kernels" / name / kernel_key(image, source, recipe)
    with locked(folder.with_name(f"{folder.name}.lock")):
        if not folder.exists():
            what = f"kernel {name}, from {source.version} (a quarter of an hour on two cores, the first time)"
            with step(what), publishing(folder) as work:
                build(image, source, recipe, work)
    return Kernel(name, (folder / "release").read_text().strip(), folder / "vmlinuz", folder / "initrd.img")


def kernel_key(image: Image, source: Source, recipe: Recipe) -> str:
    """Hash all that decides what is built."""
    code = [Path(module) for module in (__file__, tree.__file__, initrd.__file__)]
    files = [*recipe.patches, *fragments(recipe.line, "x86_64"), *code]
    return digest([image.key.encode(), source.version.encode(), *(file.read_bytes() for file in files)])


def build(image: Image, source: Source, recipe: Recipe, work: Path) -> None:
    """Make the kernel and what QEMU starts it with; the tree goes away again, it has gigabytes."""
    kernel = tree.Tree(image, work, recipe)
    kernel.prepare(source)
    kernel.configure("x86_64")
    kernel.make("bzImage")
    for name, path in KEPT.items():
        shutil.copy2(work / "out" / path, work / name)
    initrd.write_initrd(image.root, [], work / "initrd.img")
    for folder in ("source", "out"):
        shutil.rmtree(work / folder)

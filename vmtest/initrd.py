# SPDX-License-Identifier: Apache-2.0
"""Make an initrd with nothing but busybox and the modules between the kernel and its root disk.

Debian's own initrd has 20 MB, and the kernel takes seconds to unpack it under emulation.
The kernel unpacks concatenated cpio archives one after the other,
so each boot appends its scripts to the image's initrd and a changed script needs no new image.
"""

from __future__ import annotations

import lzma
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from vmtest.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Debian's cloud kernel has virtio_pci, virtio_console and ext4 built in, but not virtio_blk.
MODULES = ["virtio_blk"]
GUEST = Path(__file__).with_name("guest")


def write_initrd(root: Path, modules: Sequence[Path], initrd: Path) -> None:
    """Pack busybox from the image's root, and modules to load in this order."""
    with tempfile.TemporaryDirectory(prefix="oompolicy-initrd-") as name:
        tree = Path(name)
        for folder in ("bin", "dev", "modules", "newroot", "proc", "sys"):
            (tree / folder).mkdir()
        shutil.copy2(root / "usr/bin/busybox", tree / "bin/busybox")
        (tree / "bin/sh").symlink_to("busybox")
        for number, module in enumerate(modules):
            # Decompressed here: busybox reads no xz, and insmod takes files in the order of their names.
            (tree / f"modules/{number:02}.ko").write_bytes(lzma.decompress(module.read_bytes()))
        initrd.write_bytes(cpio(tree))


def modules_in_order(folder: Path) -> list[Path]:
    """Return the modules for the initrd of a kernel, from its folder. The dependencies of a module come before it."""
    needs = dict(line.split(":", 1) for line in (folder / "modules.dep").read_text().splitlines())
    ordered: list[Path] = []
    for module in MODULES:
        path = next((path for path in needs if Path(path).name.split(".")[0] == module), None)
        if path is None:
            raise ImageError(f"{folder} has no module {module}: it is built in, or has another name")
        # modules.dep lists dependencies in the reverse of the order in which they must be loaded.
        for name in [*reversed(needs[path].split()), path]:
            if folder / name not in ordered:
                ordered.append(folder / name)
    return ordered


def append_scripts(initrd: Path, files: Mapping[str, str], combined: Path) -> None:
    """Write the image's initrd followed by this boot's scripts."""
    with tempfile.TemporaryDirectory(prefix="oompolicy-initrd-") as name:
        tree = Path(name)
        scripts = {script.name: script.read_text() for script in GUEST.iterdir()}
        for file, text in {**scripts, **files}.items():
            (tree / file).write_text(text)
            (tree / file).chmod(stat.S_IRWXU)
        base = initrd.read_bytes()
        # The kernel expects each archive on a four-byte boundary.
        combined.write_bytes(base + b"\0" * (-len(base) % 4) + cpio(tree))


def cpio(tree: Path) -> bytes:
    """Pack a tree in the format that the kernel unpacks."""
    names = "\0".join(sorted(str(path.relative_to(tree)) for path in tree.rglob("*")))
    result = subprocess.run(
        ["cpio", "--quiet", "--null", "--create", "--format=newc", "--owner=+0:+0"],
        cwd=tree,
        input=names.encode(),
        capture_output=True,
        check=False,
    )
    if result.returncode:
        raise ImageError(f"cpio: {result.stderr.decode(errors='replace').strip()}")
    return result.stdout

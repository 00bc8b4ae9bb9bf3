# SPDX-License-Identifier: Apache-2.0
"""The kernel of Debian's next release, with the headers for our module: the guest's root stays that of the image.

The loader builds the module with the compiler of the image, as on a node. The key of the kernel covers what this
project decides, as with the image, and not the archive's state.
"""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, Final

from vmtest import archive, earlier, initrd, packages
from vmtest.cache import CHECKOUT
from vmtest.chroot import MOUNTS, chroot_run
from vmtest.errors import BuildError

if TYPE_CHECKING:
    from pathlib import Path

    from vmtest.image import Image, Kernel

KERNELS: Final = ("forky",)
"""The suites, which are also the names of the kernels: Debian 14 with Linux 7.2, which gcc 16 made."""

NEEDED: Final = re.compile(r"\blinux-(?:binary|modules|headers|kbuild)-\d[^\s,]*")

SAME_NAME: Final = "tests/node/workload/samename"

# The loader builds nothing but the hook. Debian's headers name another package's Makefile by its path below /usr/src.
BUILD: Final = f"""
headers={MOUNTS}/usr/lib/modules/$1/build
export TMPDIR={MOUNTS}/out PYTHONPATH={MOUNTS}/operator:{MOUNTS}/agent
set -- --headers=$headers --source={MOUNTS}/hook --module={MOUNTS}/out/oompolicy_hook.ko
python3 -m oompolicy_agent.loader build "$@"
cp -r {MOUNTS}/samename {MOUNTS}/build
tree=$(readlink -f $headers)
common={MOUNTS}$(sed -n 's/^include //p' $tree/Makefile)
make CC=gcc -C $tree -f $common KBUILD_OUTPUT=$tree M={MOUNTS}/build modules
cp {MOUNTS}/build/samename.ko {MOUNTS}/out
"""


def ensure_kernel(image: Image, name: str) -> Kernel:
    """Return the kernel of a suite, fetched now if it is not there. The folder `usr` beside it has its headers."""
    return archive.ensure_kernel(image, name, fetch, __file__, earlier.__file__)


def fetch(image: Image, name: str, work: Path) -> None:
    """Fetch the packages of the kernel, and keep the headers and what QEMU starts the kernel with."""
    with archive.opened(name) as suite:
        metas = [packages.versioned_package(suite.show(meta)) for meta in packages.KERNEL_METAS]
        wanted = {*metas, *(each for meta in metas for each in needed(suite.show(meta)))}
        tree = suite.unpack(sorted(wanted), work)
        release = metas[0].removeprefix("linux-image-")
        folder = tree / "usr/lib/modules" / release
        drivers = [found for module in earlier.MODULES for found in folder.rglob(f"{module}.ko.xz")]
        initrd.write_initrd(image.root, drivers, work / "initrd.img")
        (folder / "vmlinuz").rename(work / "vmlinuz")
        shutil.rmtree(folder / "kernel")
        shutil.move(tree / "usr", work / "usr")
        (work / "release").write_text(f"{release}\n")


def needed(record: str) -> list[str]:
    """Return the packages in the dependencies of a kernel's package that have its files."""
    return NEEDED.findall(next(line for line in record.splitlines() if line.startswith("Depends:")))


def modules(image: Image, kernel: Kernel, work: Path) -> dict[str, Path]:
    """Build the modules in a folder of `work`, and return the folder by its place below /checkout."""
    target = work / "modules"
    target.mkdir()
    sources = {"hook": "kernel/module", "samename": SAME_NAME, "operator": "operator", "agent": "agent"}
    binds = {name: CHECKOUT / source for name, source in sources.items()}
    binds |= {"usr": kernel.vmlinuz.parent / "usr", "out": target}
    chroot_run(image, ["sh", "-euc", BUILD, "sh", kernel.release], binds, work / "modules.log")
    if (reason := target / "oompolicy_hook.ko.reason").exists():
        raise BuildError(f"the module for the kernel {kernel.name}: {reason.read_text().strip()}")
    return {f"build/module-{kernel.name}": target}

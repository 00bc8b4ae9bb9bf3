# SPDX-License-Identifier: Apache-2.0
"""Compile the checkout's Python for the guest, with the guest's Python: this takes a second on the host.

Under emulation it takes many. An agent, which may not write beside its own code, would do it at each start.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

from vmtest.cache import CHECKOUT
from vmtest.checkout import checkout_files
from vmtest.chroot import MOUNTS, chroot_run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from vmtest.image import Image

FOLDERS: Final = ("operator", "agent", "debug", "tests", "vmtest", "demo", "benchmarks", "bundle")
"""Folders of the checkout."""


def compiled(image: Image, work: Path) -> dict[str, Path]:
    """Make trees of `__pycache__` folders below `work`, and return them by their place below /checkout.

    Raises:
        BuildError: A file is not Python.
    """
    sources = [path for path in checkout_files(CHECKOUT) if path.suffix == ".py" and in_folders(path)]
    copies = [work / "code" / path.relative_to(CHECKOUT) for path in sources]
    for path, copy in zip(sources, copies, strict=True):
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    chroot_run(image, compileall(f"{MOUNTS}/code"), {"code": work / "code"}, work / "compileall.log")
    for copy in copies:
        copy.unlink()
    return {name: work / "code" / name for name in FOLDERS}


def in_folders(path: Path) -> bool:
    """Return True if a file of the checkout is in one of these folders."""
    return path.relative_to(CHECKOUT).parts[0] in FOLDERS


def compileall(place: str) -> Sequence[str]:
    """Write the command. It ignores the files' times, because the guest's copies have others."""
    words = ["python3", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    return [*words, "-s", place, "-p", "/checkout", *(f"{place}/{name}" for name in FOLDERS)]

# SPDX-License-Identifier: Apache-2.0
"""Pack the checkout, and the builds of it, for the guest's /checkout."""

from __future__ import annotations

import os
import subprocess
import tarfile
from typing import TYPE_CHECKING

from vmtest.errors import HarnessError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path


def checkout_files(checkout: Path) -> list[Path]:
    """List the files of the checkout: tracked, or new and not ignored."""
    result = subprocess.run(
        ["git", "-C", str(checkout), "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    if result.returncode:
        raise HarnessError(f"git ls-files: {result.stderr.decode(errors='replace').strip()}")
    names = {os.fsdecode(name) for name in result.stdout.split(b"\0") if name}
    # A tracked file may be deleted and not yet committed.
    return sorted(path for name in names if os.path.lexists(path := checkout / name))


def tree_files(tree: Path) -> Iterator[Path]:
    """List all files below `tree` that are not directories."""
    return (path for path in sorted(tree.rglob("*")) if path.is_symlink() or path.is_file())


def pack(checkout: Path, extra: Mapping[str, Path], target: Path) -> None:
    """Write a tar of the checkout, with each tree of `extra` under its name."""
    with tarfile.open(target, "w") as tar:
        for path in checkout_files(checkout):
            tar.add(path, str(path.relative_to(checkout)), recursive=False, filter=as_root)
        for name, tree in extra.items():
            for path in tree_files(tree):
                tar.add(path, f"{name}/{path.relative_to(tree)}", recursive=False, filter=as_root)


def pack_nothing(target: Path) -> None:
    """Write an empty tar."""
    tarfile.open(target, "w").close()


def as_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
    """Give the file its owner and mode in the guest, independent of the umask of the checkout."""
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    if member.isfile():
        member.mode = 0o755 if member.mode & 0o100 else 0o644
    return member

# SPDX-License-Identifier: Apache-2.0
"""Run a build with the image's own tools, in a chroot that leaves nothing mounted.

The mounts are in a mount namespace of their own and end with its last process, even if that process is killed.
The image's tree is read-only during the build, because a cached result must match its key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vmtest.errors import BuildError
from vmtest.progress import run_logged

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from vmtest.image import Image

MOUNTS = "/mnt"
"""The folder in the chroot for the folders of the host, by their names."""

# $1 is the root. Pairs of a host path and its name below MOUNTS follow up to "--", and then the command.
# 7.3's objtool needs /proc.
ENTER = f"""
root=$1; shift
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/tmp"
mount -t tmpfs tmpfs "$root{MOUNTS}"
while [ "$1" != -- ]; do
    mkdir -p "$root{MOUNTS}/$2"
    mount --bind "$1" "$root{MOUNTS}/$2"
    shift 2
done
shift
mount -o remount,bind,ro "$root"
exec chroot "$root" "$@"
"""


def private_command(script: str, arguments: Sequence[str]) -> list[str]:
    """Write the command that runs a shell script with mounts and processes of its own, in an empty environment."""
    namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private", "--"]
    # --kill-child ends the script's processes with unshare, and pdeathsig ends unshare with us.
    guard = ["setpriv", "--pdeathsig", "KILL", "--"]
    environment = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/tmp", "LANG=C.UTF-8"]
    return [*guard, *environment, *namespaces, "sh", "-euc", script, "sh", *arguments]


def chroot_command(root: Path, argv: Sequence[str], binds: Mapping[str, Path]) -> list[str]:
    """Write the command that enters the chroot. `binds` has the host's folders by their names below MOUNTS."""
    return private_command(ENTER, [str(root), *pairs(binds), "--", *argv])


def pairs(binds: Mapping[str, Path]) -> list[str]:
    """Return each host path followed by its name below MOUNTS."""
    return [word for name, path in binds.items() for word in (str(path), name)]


def chroot_run(image: Image, argv: Sequence[str], binds: Mapping[str, Path], log: Path) -> None:
    """Run a command in the image's root. Its output goes to `log`, and into the error if it fails."""
    run_logged(chroot_command(image.root, argv, binds), log, error=BuildError)

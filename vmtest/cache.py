# SPDX-License-Identifier: Apache-2.0
"""Keep build results under a hash of their inputs, and publish each result in one step."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from vmtest.progress import say

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

CHECKOUT = Path(__file__).resolve().parent.parent


def cache_dir() -> Path:
    """Return the folder for all files of this harness on the host."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "oompolicy"


def digest(parts: Iterable[bytes]) -> str:
    """Hash the parts. A length before each one keeps ("ab", "c") apart from ("a", "bc")."""
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "big"))
        total.update(part)
    return total.hexdigest()[:16]


def file_parts(root: Path, files: Iterable[Path]) -> Iterator[bytes]:
    """Yield name and content of each file, in an order that does not depend on the file system."""
    for file in sorted(files):
        yield str(file.relative_to(root)).encode()
        yield str(file.readlink()).encode() if file.is_symlink() else file.read_bytes()


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock, because two builders of one thing would only compete for the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"waiting for another process that makes {path.stem}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def publishing(target: Path) -> Iterator[Path]:
    """Yield a directory that becomes `target` if the block succeeds, and is removed otherwise."""
    sweep(target)
    work = Path(tempfile.mkdtemp(prefix=f"{target.name}.tmp-", dir=target.parent))
    work.chmod(0o755)
    try:
        yield work
        if target.exists():
            target.rename(work.with_name(f"{work.name}-old"))
        work.rename(target)
    finally:
        sweep(target)


def sweep(target: Path) -> None:
    """Remove the leftovers of a killed builder of `target`. Needs the builder's lock."""
    target.parent.mkdir(parents=True, exist_ok=True)
    for left in target.parent.glob(f"{target.name}.tmp-*"):
        shutil.rmtree(left, ignore_errors=True)


def forget_old(current: Path) -> None:
    """Keep the current result and the newest of the others. Each may take gigabytes, and branches may alternate."""
    others = [path for path in current.parent.iterdir() if path.is_dir() and path != current and "." not in path.name]
    for old in sorted(others, key=lambda path: path.stat().st_mtime)[:-1]:
        say(f"removing {old}, made from older inputs")
        shutil.rmtree(old)

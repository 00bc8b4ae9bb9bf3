# SPDX-License-Identifier: Apache-2.0
"""Debian's source of a kernel line, in the version of the archive at the first use."""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from vmtest import mirror, packages
from vmtest.cache import cache_dir, locked, publishing
from vmtest.errors import ImageError
from vmtest.progress import run_logged, step


@dataclass(frozen=True)
class Source:
    """A source package in the cache."""

    folder: Path

    @property
    def version(self) -> str:
        """The version of the Debian package."""
        return (self.folder / "version").read_text().strip()

    @property
    def tar(self) -> Path:
        """The whole tree, with Debian's own patches applied."""
        return self.folder / "source.tar.xz"


def ensure_source(line: str, *, refresh: bool = False) -> Source:
    """Return the source of a line. Fetch it now if it does not exist, or if `refresh` requests it."""
    source = Source(cache_dir() / "kernels" / "source" / line)
    with locked(source.folder.with_name(f"{line}.lock")):
        if refresh or not source.tar.exists():
            with step(f"kernel {line}: Debian's source"), publishing(source.folder) as work:
                fetch(f"linux-source-{line}", work)
    return source


def fetch(package: str, work: Path) -> None:
    """Download the newest version of the package in the suites, and keep its archive of the tree."""
    machine = mirror.find_mirror(mirror.read_sources(), mirror.machine_codename())
    with tempfile.TemporaryDirectory(prefix="oompolicy-apt-") as name:
        config = packages.write_apt_config(
            Path(name), mirror.source_lines(machine, packages.SUITES), mirror.transport_options()
        )
        apt = ["env", f"--chdir={name}", f"APT_CONFIG={config}"]
        packages.query(*apt, "apt-get", "update", "-qq", "--error-on=any")
        packages.query(*apt, "apt-get", "download", "-qq", package)
        (deb,) = Path(name).glob(f"{package}_*.deb")
        (work / "version").write_text(packages.query("dpkg-deb", "--field", str(deb), "Version"))
        run_logged(["dpkg-deb", "--extract", str(deb), f"{name}/tree"], work / "fetch.log", error=ImageError)
        (tar,) = Path(name, "tree/usr/src").glob("*.tar.xz")
        shutil.move(tar, work / "source.tar.xz")


def unpack(source: Source, target: Path, log: Path) -> None:
    """Create `target`, and unpack the tree there."""
    target.mkdir()
    command = ["tar", "--extract", "--file", str(source.tar), "--directory", str(target), "--strip-components=1"]
    run_logged(command, log, error=ImageError)

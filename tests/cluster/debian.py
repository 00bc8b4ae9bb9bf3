# SPDX-License-Identifier: Apache-2.0
"""Fetch one program of a Debian 13 package, even if this machine runs another release."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.cluster.errors import BinariesError
from vmtest import mirror, packages
from vmtest.cache import cache_dir, digest, locked, publishing
from vmtest.errors import ImageError
from vmtest.progress import run_logged, say, step

RELEASE = "trixie"


@dataclass(frozen=True)
class DebianProgram:
    """A program that depends only on libc, and its package."""

    package: str
    name: str

    @property
    def folder(self) -> Path:
        """The folder of the program once it has been fetched."""
        return cache_dir() / self.name / digest([self.package.encode(), RELEASE.encode()])

    def ensure(self) -> Path:
        """Return the program, and fetch it first if it is missing. BinariesError: it cannot be fetched."""
        target = self.folder
        with locked(target.with_name(f"{target.name}.lock")):
            if not target.exists():
                with step(f"{self.name}: {self.package} of Debian's {RELEASE}"), publishing(target) as work:
                    try:
                        self._fetch(work)
                    except ImageError as error:
                        raise BinariesError(f"{self.name}: {error}") from error
                say(f"{self.name}: {target}")
        return target / self.name

    def _fetch(self, work: Path) -> None:
        """Download with apt, which checks the signature, and copy the program from the package."""
        source = mirror.find_mirror(mirror.read_sources(), mirror.machine_codename())
        with tempfile.TemporaryDirectory(prefix="oompolicy-apt-") as name:
            folder, options = Path(name), mirror.transport_options()
            config = packages.write_apt_config(folder, mirror.source_lines(source, [RELEASE]), options)
            env, log = {**os.environ, "APT_CONFIG": str(config)}, folder / "log"
            run_logged(["apt-get", "update", "-qq", "--error-on=any"], log, error=BinariesError, env=env)
            # apt-get writes into its working directory.
            download = ["env", f"--chdir={name}", "apt-get", "-qq", "download", self.package]
            run_logged(download, log, error=BinariesError, env=env)
            (package,) = folder.glob(f"{self.package}_*.deb")
            run_logged(["dpkg-deb", "-x", str(package), f"{name}/root"], log, error=BinariesError)
            shutil.copy2(folder / "root/usr/bin" / self.name, work / self.name)

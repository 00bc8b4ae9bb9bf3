# SPDX-License-Identifier: Apache-2.0
"""Fetch etcd from Debian, and build its command line. Debian 12's own is too old for current API servers."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tests.cluster.errors import BinariesError
from vmtest import mirror, packages
from vmtest.cache import cache_dir, digest, locked, publishing
from vmtest.errors import ImageError
from vmtest.progress import run_logged, say, step

if TYPE_CHECKING:
    from tests.cluster.pki import Pki

PACKAGE = "etcd-server"
RELEASE = "trixie"


def etcd_folder() -> Path:
    """Return the folder of etcd once it has been fetched."""
    return cache_dir() / "etcd" / digest([PACKAGE.encode(), RELEASE.encode()])


def ensure_etcd() -> Path:
    """Return the folder of etcd, and fetch it first if it is missing. BinariesError: it cannot be fetched."""
    target = etcd_folder()
    with locked(target.with_name(f"{target.name}.lock")):
        if not target.exists():
            with step(f"etcd: {PACKAGE} of Debian's {RELEASE}"), publishing(target) as work:
                try:
                    fetch(work)
                except ImageError as error:
                    raise BinariesError(f"etcd: {error}") from error
            say(f"etcd: {target}")
    return target


def fetch(work: Path) -> None:
    """Download the package with apt, which checks the signature, and copy the program out of it."""
    source = mirror.find_mirror(mirror.read_sources(), mirror.machine_codename())
    with tempfile.TemporaryDirectory(prefix="oompolicy-apt-") as name:
        folder = Path(name)
        config = packages.write_apt_config(folder, mirror.source_lines(source, [RELEASE]), mirror.transport_options())
        env, log = {**os.environ, "APT_CONFIG": str(config)}, folder / "log"
        run_logged(["apt-get", "update", "-qq", "--error-on=any"], log, error=BinariesError, env=env)
        # apt-get writes into its working directory.
        download = ["env", f"--chdir={name}", "apt-get", "-qq", "download", PACKAGE]
        run_logged(download, log, error=BinariesError, env=env)
        (package,) = folder.glob(f"{PACKAGE}_*.deb")
        run_logged(["dpkg-deb", "-x", str(package), f"{name}/root"], log, error=BinariesError)
        shutil.copy2(folder / "root/usr/bin/etcd", work / "etcd")


def command_line(program: Path, folder: Path, pki: Pki, port: int, peer_port: int) -> list[str]:
    """Return the command line of a single member that trusts only the API server's certificate."""
    url, peer = f"https://127.0.0.1:{port}", f"http://127.0.0.1:{peer_port}"
    return [
        str(program),
        f"--data-dir={folder / 'etcd'}",
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        f"--cert-file={pki.etcd.certificate}",
        f"--key-file={pki.etcd.key}",
        f"--trusted-ca-file={pki.etcd_ca}",
        "--client-cert-auth",
        # The kernel still has the data that a killed process wrote. Only a power cut would lose it.
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]

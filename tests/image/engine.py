# SPDX-License-Identifier: Apache-2.0
"""Make a Debian 13 tree with Docker in it, or find it in the cache.

Debian 12's Docker is too old to set the times of layers (BuildKit 0.13). Debian 13's Docker need not be installed on
the machine: it runs in its tree, in namespaces of its own.
"""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

from tests.image.errors import DockerError
from vmtest import mirror
from vmtest.cache import cache_dir, digest, locked, publishing
from vmtest.progress import run_logged, say, step

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

RELEASE = "trixie"
PACKAGES = ["docker.io", "docker-cli", "docker-buildx", "mount", "ca-certificates"]
EXCLUDED = ["/usr/share/man/*", "/usr/share/doc/*", "/usr/share/info/*", "/usr/share/locale/*"]


def engine_folder() -> Path:
    """Return the folder of the tree."""
    return cache_dir() / "docker" / digest(map(str.encode, [RELEASE, *PACKAGES, *EXCLUDED]))


def ensure_engine() -> Path:
    """Return the root of the tree. Make the tree now if it does not exist."""
    if os.geteuid() != 0:
        raise DockerError("running Docker takes root: mounts, control groups and its files' owners")
    if shutil.which("mmdebstrap") is None:
        raise DockerError("not installed: mmdebstrap; scripts/setup installs it")
    target = engine_folder()
    with locked(target.with_name(f"{target.name}.lock")):
        if not target.exists():
            with step("docker: Debian's Docker Engine in a tree of its own (a minute)"), publishing(target) as work:
                make(work)
            say(f"docker: {target}")
    return target / "root"


def make(work: Path) -> None:
    """Install into the folder."""
    source = mirror.find_mirror(mirror.read_sources(), mirror.machine_codename())
    lines = mirror.source_lines(source, [RELEASE])
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = mmdebstrap(work / "root", lines, mirror.transport_options())
    run_logged(command, work / "mmdebstrap.log", error=DockerError, env=env)


def mmdebstrap(target: Path, lines: Sequence[str], options: Sequence[str]) -> list[str]:
    """Write the command. It also writes the configuration of containerd's image store, which sets the times."""
    settings = '{"features": {"containerd-snapshotter": true}}'
    dpkg = ["force-unsafe-io", *(f"path-exclude={path}" for path in EXCLUDED)]
    return [
        *("mmdebstrap", "--mode=root", "--variant=apt", "--format=directory"),
        f"--include={','.join(PACKAGES)}",
        '--aptopt=APT::Install-Recommends "false"',
        *(f"--aptopt={option}" for option in options),
        *(f"--dpkgopt={option}" for option in dpkg),
        f'--customize-hook=mkdir -p "$1/etc/docker" && echo \'{settings}\' >"$1/etc/docker/daemon.json"',
        *(RELEASE, str(target), *lines),
    ]

# SPDX-License-Identifier: Apache-2.0
"""Write today's versions of archive and index for a build: `python3 -m tests.image.lock`.

The files are image/debian.lock (packages of all stages), image/requirements.txt and tools.txt (Python, with hashes),
and image/source-date-epoch (today). The image gets the versions that pyproject.toml pins for development.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from tests.image import base, build, docker
from tests.image.errors import DockerError
from vmtest.cache import CHECKOUT
from vmtest.errors import HarnessError
from vmtest.progress import run_logged, step

if TYPE_CHECKING:
    from collections.abc import Iterable

UV = "uv==0.13.9"
TOOLS = ("hatchling>=1.27", "cyclonedx-bom>=7.5", "debsbom>=0.10.2")
STAGES = ("bpf", "pip", "tools", "debug")
NOTE = "# SPDX-License-Identifier: Apache-2.0\n# Written by `python3 -m tests.image.lock`"


def installed(status: str) -> dict[str, str]:
    """Return package and version from dpkg's status file."""
    stanzas = (
        dict(re.findall(r"^(Package|Version|Status): (.*)$", text, re.MULTILINE)) for text in status.split("\n\n")
    )
    return {one["Package"]: one["Version"] for one in stanzas if one.get("Status", "").endswith(" installed")}


def debian_lock(statuses: Iterable[str]) -> str:
    """Return one line for each package. DockerError if two stages have different versions of a package.

    In that case the archive changed during the build.
    """
    versions: dict[str, str] = {}
    for status in statuses:
        for package, version in installed(status).items():
            if versions.setdefault(package, version) != version:
                raise DockerError(
                    f"{package} is {version} in one stage and {versions[package]} in another: run it again"
                )
    lines = (f"{package} {version}" for package, version in sorted(versions.items()))
    return "\n".join([f"{NOTE}: Debian's packages of all stages.", *lines]) + "\n"


def lock_debian(epoch: int) -> None:
    """Build the stages with today's packages, and read their packages."""
    build.EPOCH.write_text(f"{epoch}\n")
    with tempfile.TemporaryDirectory(prefix="oompolicy-image-") as name:
        outer = Path(name)
        build.prepare(build.inputs(), outer, epoch)
        layout, log = base.ensure_base(f"{epoch}".encode(), epoch), outer / "log"
        with docker.running_docker({"build": outer, "base": layout}) as running:
            run_logged(
                build.buildx(running, outer, "versions", "today", "--output=/mnt/build/versions"),
                log,
                error=DockerError,
            )
        statuses = [(outer / "versions" / stage).read_text() for stage in STAGES]
    build.LOCK.write_text(debian_lock(statuses))


def lock_python() -> None:
    """Resolve the packages for Debian 13's Python, in the versions of development."""
    pyproject = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    extras = [each for name in ("operator", "agent") for each in pyproject["project"]["optional-dependencies"][name]]
    wanted = [*pyproject["project"]["dependencies"], *extras]
    pinned = pyproject["dependency-groups"]["dev"]
    with tempfile.TemporaryDirectory(prefix="oompolicy-uv-") as name:
        folder = Path(name)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
        subprocess.run([*pip, "--target", str(folder / "uv"), UV], check=True)
        resolve(folder, wanted, pinned, CHECKOUT / "image/requirements.txt")
        resolve(folder, TOOLS, [], CHECKOUT / "image/tools.txt")


def resolve(folder: Path, wanted: Iterable[str], pinned: Iterable[str], target: Path) -> None:
    """Write a list with the wanted packages and their dependencies, with hashes."""
    (folder / "in").write_text("\n".join(wanted))
    (folder / "pinned").write_text("\n".join(pinned))
    words = [str(folder / "uv/bin/uv"), "pip", "compile", "--quiet", "--python-version=3.13", "--python-platform=linux"]
    words += ["--generate-hashes", "--no-header", "--no-annotate", "--constraint", str(folder / "pinned")]
    done = subprocess.run(
        [*words, str(folder / "in")], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise DockerError(f"uv pip compile: {done.stderr.strip()}")
    target.write_text(f"{NOTE}, with the hashes of all of an index's files.\n{done.stdout}")


def main() -> int:
    """Write all files."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    try:
        with step("lock: Python's packages"):
            lock_python()
        with step("lock: Debian's packages"):
            lock_debian(int(today.timestamp()))
    except HarnessError as error:
        print(f"lock: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

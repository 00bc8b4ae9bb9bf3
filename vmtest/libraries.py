# SPDX-License-Identifier: Apache-2.0
"""Fetch the Python packages that the guest needs beside Debian's: `python3 -m vmtest.libraries`.

They are handed over as an `extra` tree and named on PYTHONPATH. Runs in the virtual environment, whose pip it uses.
"""

from __future__ import annotations

import re
import shutil
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vmtest.cache import CHECKOUT, cache_dir, digest, locked, publishing
from vmtest.chroot import chroot_run
from vmtest.errors import BuildError, HarnessError
from vmtest.image import Image, ensure_image
from vmtest.progress import run_logged, step

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PLACE = "build/python"
"""Where the tree belongs below the guest's /checkout."""

PYTHON = "3.13"
"""Debian 13's."""

PLATFORMS = ["manylinux_2_28_x86_64", "manylinux2014_x86_64"]

# The client once more, for asyncio: half of all files, and each of them is unpacked by an emulated processor.
LEFT_OUT = ["kubernetes/aio"]


def pins(pyproject: Mapping[str, Any]) -> list[str]:
    """Name what the agent's extra asks for, in the version that the tests on this machine have."""
    wanted = [name(each) for each in pyproject["project"]["optional-dependencies"]["agent"]]
    pinned = {name(each): each for each in pyproject["dependency-groups"]["dev"]}
    if missing := [each for each in wanted if "==" not in pinned.get(each, "")]:
        raise BuildError(f"pyproject.toml: the group dev does not pin {', '.join(missing)}")
    return [pinned[each] for each in wanted]


def name(requirement: str) -> str:
    """Take the name alone, as in `kubernetes>=37`."""
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]


def ensure_libraries(image: Image) -> Path:
    """Return the directory of the packages, fetched now if it is not there."""
    requirements = pins(tomllib.loads((CHECKOUT / "pyproject.toml").read_text()))
    key = digest([image.key.encode(), *map(str.encode, requirements), Path(__file__).read_bytes()])
    target = cache_dir() / "libraries" / key
    with locked(target.with_name(f"{target.name}.lock")):
        if not target.exists():
            with step(f"libraries: {' '.join(requirements)}"), publishing(target) as work:
                fetch(image, requirements, work)
    return target


def fetch(image: Image, requirements: Sequence[str], work: Path) -> None:
    """Install wheels for the guest, and compile them: emulated, their first import would take a minute."""
    log = work / "log"
    run_logged(pip(requirements, work), log, error=BuildError)
    for path in LEFT_OUT:
        shutil.rmtree(work / path)
    chroot_run(image, compileall(), {"python": work}, log)
    log.unlink()


def pip(requirements: Sequence[str], target: Path) -> list[str]:
    """Write the command that installs for another Python than the one it runs with."""
    words = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
    words += ["--target", str(target), "--no-compile", "--only-binary=:all:", f"--python-version={PYTHON}"]
    return [*words, *(f"--platform={platform}" for platform in PLATFORMS), *requirements]


def compileall() -> list[str]:
    """Write the command that compiles; the files' times do not count, because a copy has others."""
    words = ["python3", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    return [*words, "-s", "/mnt/python", "-p", f"/checkout/{PLACE}", "/mnt/python"]


def main() -> int:
    """Fetch and print where the result is."""
    try:
        print(ensure_libraries(ensure_image()))
    except HarnessError as error:
        print(f"vm: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

# SPDX-License-Identifier: Apache-2.0
"""Fetch the Python packages that the guest needs in addition to Debian's: `python3 -m vmtest.libraries`.

The guest gets them as an `extra` tree, and PYTHONPATH has its path. This program uses the pip of the virtual
environment, so run it there.
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
"""The path of the tree below the guest's /checkout."""

PYTHON = "3.13"
"""The version of Python in Debian 13."""

PLATFORMS = ["manylinux_2_28_x86_64", "manylinux2014_x86_64"]

# A second copy of the client, for asyncio. It is half of all files, and an emulated processor has to unpack each file.
LEFT_OUT = ["kubernetes/aio"]


def pins(pyproject: Mapping[str, Any]) -> list[str]:
    """Return the requirements of the agent's extra in the versions of the tests on this machine."""
    wanted = [name(each) for each in pyproject["project"]["optional-dependencies"]["agent"]]
    pinned = {name(each): each for each in pyproject["dependency-groups"]["dev"]}
    if missing := [each for each in wanted if "==" not in pinned.get(each, "")]:
        raise BuildError(f"pyproject.toml: the group dev does not pin {', '.join(missing)}")
    return [pinned[each] for each in wanted]


def name(requirement: str) -> str:
    """Return the name in a requirement such as `kubernetes>=37`."""
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]


def ensure_libraries(image: Image) -> Path:
    """Return the directory of the packages. Fetch them now if it does not exist."""
    requirements = pins(tomllib.loads((CHECKOUT / "pyproject.toml").read_text()))
    key = digest([image.key.encode(), *map(str.encode, requirements), Path(__file__).read_bytes()])
    target = cache_dir() / "libraries" / key
    with locked(target.with_name(f"{target.name}.lock")):
        if not target.exists():
            with step(f"libraries: {' '.join(requirements)}"), publishing(target) as work:
                fetch(image, requirements, work)
    return target


def fetch(image: Image, requirements: Sequence[str], work: Path) -> None:
    """Install wheels for the guest, and compile them. Under emulation the first import would take a minute."""
    log = work / "log"
    run_logged(pip(requirements, work), log, error=BuildError)
    for path in LEFT_OUT:
        shutil.rmtree(work / path)
    chroot_run(image, compileall(), {"python": work}, log)
    log.unlink()


def pip(requirements: Sequence[str], target: Path) -> list[str]:
    """Return the command that installs for another version of Python than the one that runs pip."""
    words = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
    words += ["--target", str(target), "--no-compile", "--only-binary=:all:", f"--python-version={PYTHON}"]
    return [*words, *(f"--platform={platform}" for platform in PLATFORMS), *requirements]


def compileall() -> list[str]:
    """Return the command that compiles. The compiled files do not depend on times, because a copy has other times."""
    words = ["python3", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    return [*words, "-s", "/mnt/python", "-p", f"/checkout/{PLACE}", "/mnt/python"]


def main() -> int:
    """Fetch the packages, and print the path of their directory."""
    try:
        print(ensure_libraries(ensure_image()))
    except HarnessError as error:
        print(f"vm: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

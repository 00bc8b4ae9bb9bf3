# SPDX-License-Identifier: Apache-2.0
"""Commit the site of this version to a branch, beside those of other versions: `python3 -m publish.site [--push]`.

mike does this. A version of the site is MAJOR.MINOR, so a PATCH replaces the pages of its version. `latest` is a copy
of the newest version, and the page of the branch itself leads there.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from publish.project import CHECKOUT, Project

if TYPE_CHECKING:
    from collections.abc import Iterator

NEWEST: Final = "latest"


def commands(version: str, *, push: bool) -> Iterator[list[str]]:
    """Yield the commands that commit the site, and push it if wanted."""
    flags = ["--push"] if push else []
    # Many servers of files follow no symbolic links.
    copy = ["--update-aliases", "--alias-type=copy"]
    yield ["mike", "deploy", *flags, *copy, ".".join(version.split(".")[:2]), NEWEST]
    yield ["mike", "set-default", *flags, NEWEST]


def publish(version: str, checkout: Path = CHECKOUT, *, push: bool = False) -> None:
    """Run the commands. mike and its mkdocs are in the virtual environment of this program."""
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    for command in commands(version, push=push):
        subprocess.run(command, cwd=checkout, env=environment, check=True)


def main() -> None:
    """Publish the site of the version of pyproject.toml."""
    parser = argparse.ArgumentParser(description="Commit the site of this version to the branch gh-pages.")
    parser.add_argument("--push", action="store_true", help="push the branch to origin")
    publish(Project.load().version, push=parser.parse_args().push)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""A clone of the commit, made ready for a release as docs/release.md says."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from publish.project import FILE, Project
from vmtest.cache import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

# The reserved domain .test is no placeholder.
_PROJECT: Final = """\
repository = "https://git.test/oompolicy"
registry = "{registry}"
contact = "contact@oompolicy.test"
[[maintainers]]
name = "Maintainer"
email = "maintainer@oompolicy.test"
url = "https://git.test/maintainer"
"""
_AUTHOR: Final = ("-c", "user.name=Maintainer", "-c", "user.email=maintainer@oompolicy.test")


@dataclass(frozen=True)
class Clone:
    """A clone, and the environment of its commands."""

    folder: Path
    environment: Mapping[str, str]

    @property
    def project(self) -> Project:
        """The addresses and the version of the clone."""
        return Project.load(self.folder)

    @property
    def dist(self) -> Path:
        """The folder of the release."""
        return self.folder / "dist"

    def run(self, *command: str) -> str:
        """Run a command in the clone, and return its output. The AssertionError has output and errors."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert 0 == done.returncode, f"{command}\n{done.stdout}{done.stderr}"
        return done.stdout

    def make(self, target: str, *variables: str) -> str:
        """Run a target. The virtual environment of the checkout serves the clone too."""
        return self.run("make", "--silent", "--old-file=setup", target, f"PYTHON={sys.executable}", *variables)


def make_ready(folder: Path, registry: str, environment: Mapping[str, str]) -> Clone:
    """Clone the commit, replace the placeholders, name the version in the changelog, commit, and set the tag."""
    subprocess.run(["git", "clone", "--quiet", str(CHECKOUT), str(folder)], check=True)
    clone = Clone(folder, environment)
    (folder / FILE).write_text(_PROJECT.format(registry=registry))
    changelog, heading = folder / "CHANGELOG.md", f"## [{clone.project.version}] - "
    if heading not in changelog.read_text():
        text = changelog.read_text().replace("## [Unreleased]\n", f"## [Unreleased]\n\n{heading}2026-12-01\n", 1)
        changelog.write_text(text)
    clone.make("generated")
    clone.run("git", *_AUTHOR, "commit", "--quiet", "--all", "--message", f"release {clone.project.version}")
    clone.run("git", "tag", clone.project.tag)
    return clone

# SPDX-License-Identifier: Apache-2.0
"""Check that this commit can be released: `python3 -m publish.check [--tag TAG]`."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from typing import TYPE_CHECKING

from publish.project import CHECKOUT, FILE, Project

if TYPE_CHECKING:
    from collections.abc import Iterator


def problems(project: Project, changelog: str, changed: list[str], tag: str | None) -> Iterator[str]:
    """Yield a sentence for each reason not to release. `changed` has the files that are not committed."""
    for each in project.placeholders:
        yield f"{FILE}: {each} is a placeholder: replace it with a real address"
    if not re.search(rf"^## \[{re.escape(project.version)}\] - \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE):
        yield f"CHANGELOG.md: there is no heading `## [{project.version}] - DATE`: rename `## [Unreleased]`"
    if tag is not None and tag != project.tag:
        yield f"tag {tag}: pyproject.toml has version {project.version}: use the tag {project.tag}"
    if changed:
        yield f"the checkout: {len(changed)} files are not committed, such as {changed[0]}: commit them"


def changed_files() -> list[str]:
    """Return the files that git would commit."""
    git = ["git", "-C", str(CHECKOUT), "status", "--porcelain"]
    return [line[3:] for line in subprocess.run(git, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()]


def main() -> int:
    """Print all problems."""
    parser = argparse.ArgumentParser(description="Check that this commit can be released.")
    parser.add_argument("--tag", help="the tag of the release")
    words = parser.parse_args()
    changelog = (CHECKOUT / "CHANGELOG.md").read_text()
    found = list(problems(Project.load(), changelog, changed_files(), words.tag or None))
    for each in found:
        print(f"release-check: {each}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

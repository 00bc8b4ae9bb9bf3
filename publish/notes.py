# SPDX-License-Identifier: Apache-2.0
"""Write the notes of a release from the changelog: `python3 -m publish.notes --into FOLDER`."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from publish.project import CHECKOUT, Project


def notes(changelog: str, version: str) -> str:
    """Return the section of a version. Before the release, its changes are below `[Unreleased]`."""
    sections = dict(re.findall(r"^## \[([^\]]+)\][^\n]*\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL))
    return str(sections.get(version, sections["Unreleased"])).strip() + "\n"


def main() -> None:
    """Write the file notes.md."""
    parser = argparse.ArgumentParser(description="Write the notes of a release.")
    parser.add_argument("--into", required=True, type=Path, help="the folder")
    changelog = (CHECKOUT / "CHANGELOG.md").read_text()
    (parser.parse_args().into / "notes.md").write_text(notes(changelog, Project.load().version))


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""Build the zipapp, the archive of the kubectl plugin, and its krew manifest."""

from __future__ import annotations

import argparse
import hashlib
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import NamedTuple

import yaml

from bundle import archive, krew, parts
from publish.project import Project


class Built(NamedTuple):
    """The files of a release."""

    zipapp: Path
    plugin: Path
    manifest: Path


def build(folder: Path, url: str) -> Built:
    """Build everything in a folder. `url` is the address of the folder that the archive will be downloaded from."""
    folder.mkdir(parents=True, exist_ok=True)
    version = parts.version()
    built = Built(folder / f"oompolicy-{version}.pyz", folder / f"{krew.PROGRAM}-{version}.tar.gz", folder / "oom.yaml")
    archive.write_zipapp(built.zipapp, parts.files())
    program = (built.zipapp.read_bytes(), 0o755)
    license_text = ((parts.CHECKOUT / "LICENSES/Apache-2.0.txt").read_bytes(), 0o644)
    archive.write_tar(built.plugin, {krew.PROGRAM: program, krew.LICENSE: license_text})
    digest = hashlib.sha256(built.plugin.read_bytes()).hexdigest()
    made = krew.manifest(version, Project.load().repository, f"{url.rstrip('/')}/{built.plugin.name}", digest)
    built.manifest.write_text(yaml.safe_dump(made, sort_keys=False, width=120))
    return built


def main() -> int:
    """Parse the command line, build, and print the paths."""
    parser = argparse.ArgumentParser(prog="python3 -m bundle", description=__doc__)
    parser.add_argument("folder", type=Path, help="the folder for the files")
    parser.add_argument("--url", required=True, help="the address that the folder will have, for the krew manifest")
    arguments = parser.parse_args()
    try:
        built = build(arguments.folder, arguments.url)
    except PackageNotFoundError as error:
        print(f"bundle: {error.name} is not installed, so nothing was built. Run: make setup", file=sys.stderr)
        return 1
    print(*built, sep="\n")
    return 0

# SPDX-License-Identifier: Apache-2.0
"""Package the chart: `python3 -m publish.chart --helm PROGRAM --into FOLDER [--digests FILE]`.

The package has real files in place of the links of the checkout. Its metadata has the addresses of
publish/project.toml, and its values have the registry of the project and the digests of the images.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from publish import readme
from publish.project import CHART, Project

if TYPE_CHECKING:
    from collections.abc import Mapping

INSTALLED: Final = {"oompolicy": "oompolicy", "loader": "oompolicy-loader"}
"""The key of each image in the values, and its name."""
IMAGES: Final = {**INSTALLED, "debug": "oompolicy-debug"}
"""All images of a release. A person starts the last one, so no value of the chart names it."""
_LEFT_OUT: Final = shutil.ignore_patterns(".git*", "*.orig", "*.swp", "*~")


def filled_values(text: str, project: Project, digests: Mapping[str, str]) -> str:
    """Return values.yaml with the registry of the project, and with the digest of each image that has one."""
    text, number = re.subn(r'^  registry: ""$', f"  registry: {project.registry}", text, flags=re.MULTILINE)
    for key, name in INSTALLED.items():
        if name in digests:
            pattern = rf'(^  {key}:\n(?: {{4}}.*\n)*?    digest: )""$'
            text, more = re.subn(pattern, rf"\g<1>{digests[name]}", text, flags=re.MULTILINE)
            number += more
    if number != 1 + len(digests):
        raise ValueError(f"values.yaml has not exactly one place for the registry and for each of {sorted(digests)}")
    return text


def filled_metadata(chart: dict[str, Any], project: Project, digests: Mapping[str, str]) -> dict[str, Any]:
    """Return the content of Chart.yaml with addresses, maintainers and images."""
    images = [
        {"name": name, "image": f"{project.registry}/{name}" + (f"@{digests[name]}" if name in digests else f":{tag}")}
        for name, tag in ((name, project.version) for name in INSTALLED.values())
    ]
    links = [
        {"name": "documentation", "url": project.file("docs/index.md")},
        {"name": "security policy", "url": project.file("SECURITY.md")},
    ]
    annotations = {"artifacthub.io/images": yaml.safe_dump(images), "artifacthub.io/links": yaml.safe_dump(links)}
    return {
        **chart,
        "home": project.repository,
        "sources": [project.repository],
        "icon": project.file("charts/oompolicy/icon.svg", view="raw"),
        "maintainers": [{"name": each.name, "email": each.email, "url": each.url} for each in project.maintainers],
        "annotations": {**chart["annotations"], **annotations},
    }


def stage(folder: Path, project: Project, digests: Mapping[str, str]) -> Path:
    """Copy the chart into a folder, with everything that a package has. Return the copy."""
    copy = folder / "oompolicy"
    shutil.copytree(CHART, copy, ignore=_LEFT_OUT)
    chart, values = copy / "Chart.yaml", copy / "values.yaml"
    metadata = filled_metadata(yaml.safe_load(chart.read_text()), project, digests)
    chart.write_text(yaml.safe_dump(metadata, sort_keys=False, width=1000))
    values.write_text(filled_values(values.read_text(), project, digests))
    (copy / "README.md").write_text(readme.render(values.read_text(), project))
    for file in copy.rglob("*"):
        os.utime(file, (project.epoch(), project.epoch()))
    return copy


def package(helm: str, into: Path, project: Project, digests: Mapping[str, str]) -> Path:
    """Write the package, and return its path."""
    into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        copy = stage(Path(name), project, digests)
        subprocess.run([helm, "package", str(copy), "--destination", str(into)], check=True, stdout=sys.stderr)
    return into / f"oompolicy-{project.version}.tgz"


def read_digests(file: Path) -> dict[str, str]:
    """Return the digests of the images that the values name. Before a push there are none, and the package has tags."""
    content = json.loads(file.read_text()) if file.exists() else {}
    return {name: digest for name, digest in content.items() if name in INSTALLED.values()}


def main() -> None:
    """Package the chart, and print the path of the package."""
    parser = argparse.ArgumentParser(description="Package the chart.")
    parser.add_argument("--helm", required=True, help="the program")
    parser.add_argument("--into", required=True, type=Path, help="the folder of the package")
    parser.add_argument("--digests", required=True, type=Path, help="the file that the step `images` writes")
    words = parser.parse_args()
    print(package(words.helm, words.into, Project.load(), read_digests(words.digests)))


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""The published site has a folder for each minor version, and leads to the newest."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from publish.site import commands, publish
from tests.unit.docs.test_site import build, small_site

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with three published versions of a site of two pages. Only the last has the word `sidecar`."""
    folder = tmp_path_factory.mktemp("site")
    small_site(folder, "", "index.md, other.md")
    git(folder, "init", "--quiet", "--initial-branch=main")
    for name, value in (("name", "Maintainer"), ("email", "maintainer@oompolicy.test")):
        git(folder, "config", f"user.{name}", value)
    git(folder, "add", "docs")
    git(folder, "commit", "--quiet", "--message=pages")
    publish("0.1.0", folder)
    publish("0.2.0", folder)
    (folder / "docs/other.md").write_text("# Other\n\nsidecar\n")
    publish("0.2.1", folder)
    return folder


def git(folder: Path, *words: str) -> str:
    return subprocess.run(["git", "-C", str(folder), *words], stdout=subprocess.PIPE, text=True, check=True).stdout


def page(folder: Path, path: str) -> str:
    return git(folder, "show", f"gh-pages:{path}")


def test_a_patch_replaces_the_pages_of_its_minor_version(site: Path) -> None:
    """Each other version stays as it was."""
    assert {".nojekyll", "0.1", "0.2", "latest", "index.html", "versions.json"} == set(
        git(site, "ls-tree", "--name-only", "gh-pages").split()
    )
    assert [("0.2", ["latest"]), ("0.1", [])] == [
        (each["version"], each["aliases"]) for each in json.loads(page(site, "versions.json"))
    ]
    assert "sidecar" in page(site, "0.2/other.html")
    assert "sidecar" not in page(site, "0.1/other.html")


def test_the_site_leads_to_the_newest_version(site: Path) -> None:
    assert "url=latest/" in page(site, "index.html")
    assert page(site, "latest/other.html") == page(site, "0.2/other.html")


def test_only_a_published_page_offers_other_versions(site: Path, tmp_path: Path) -> None:
    """A page of `make docs` has no list of versions, so a request for it would fail."""
    done = build(small_site(tmp_path, "", "index.md, other.md"), tmp_path / "site")
    offer = '"version": {"alias": true, "provider": "mike"}'

    assert 0 == done.returncode, done.stderr
    assert offer in page(site, "0.1/index.html")
    assert offer not in (tmp_path / "site/index.html").read_text()


def test_only_the_workflow_pushes() -> None:
    """A developer sees the commit first."""
    assert ["--push" in command for command in commands("1.2.3", push=False)] == [False, False]
    assert ["--push" in command for command in commands("1.2.3", push=True)] == [True, True]

# SPDX-License-Identifier: Apache-2.0
"""The files with which a stranger judges the project are complete, and their addresses are in one place."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.unit.docs.page import CHECKOUT

if TYPE_CHECKING:
    from pathlib import Path

PAGES = ["SECURITY.md", "CODE_OF_CONDUCT.md", "GOVERNANCE.md", "MAINTAINERS.md", "ROADMAP.md"]
FORMS = sorted((CHECKOUT / ".github/ISSUE_TEMPLATE").glob("*.yml"))
ADDRESS = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+")


def test_the_license_of_the_project_is_apache_2() -> None:
    """Hosting sites read only the file LICENSE. It is a copy of the text in LICENSES, as REUSE requires that folder."""
    assert (CHECKOUT / "LICENSES/Apache-2.0.txt").read_text() == (CHECKOUT / "LICENSE").read_text()


def licence_of(file: Path) -> str:
    found = re.search(r"SPDX-License-Identifier: ([\w.-]+)", file.read_text())
    return found[1] if found else "none"


def test_each_source_names_a_licence_that_the_project_has() -> None:
    """BPF programs and the module are GPL-2.0-only, and all other sources are Apache-2.0."""
    listed = subprocess.run(
        ["git", "-C", str(CHECKOUT), "ls-files", "*.py", "*.c", "*.h", "*.yaml", "*.yml", "*.toml", "*.tpl"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.split()
    named = {name: licence_of(CHECKOUT / name) for name in listed}
    kernel = {name: licence for name, licence in named.items() if name.startswith(("bpf/", "kernel/"))}
    texts = {file.stem for file in (CHECKOUT / "LICENSES").iterdir()}

    assert len(kernel) > 5
    assert len(named) > 300
    assert {} == {name: each for name, each in named.items() if each not in texts}
    assert {} == {name: each for name, each in kernel.items() if name.endswith((".c", ".h")) and "GPL-2.0" not in each}


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_no_address_of_its_own(page: str) -> None:
    """A maintainer replaces the placeholders only in publish/project.toml."""
    assert [] == ADDRESS.findall((CHECKOUT / page).read_text())


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_an_issue_form_has_the_keys_that_github_requires(form: Path) -> None:
    """GitHub silently leaves out a form that it cannot read."""
    loaded = yaml.safe_load(form.read_text())
    if form.name == "config.yml":
        assert {"blank_issues_enabled"} == set(loaded)
        return
    fields = [each for each in loaded["body"] if each["type"] != "markdown"]

    assert {"name", "description", "body"} <= set(loaded)
    assert len(fields) == len({each["id"] for each in fields})
    assert all(each["attributes"]["label"] for each in fields)

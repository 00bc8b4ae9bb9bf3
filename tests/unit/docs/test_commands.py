# SPDX-License-Identifier: Apache-2.0
"""Commands of this checkout that pages name exist."""

from __future__ import annotations

import re

import pytest

from tests.unit.docs.page import CHECKOUT, DOCS

PAGES = [CHECKOUT / "README.md", CHECKOUT / "CONTRIBUTING.md", CHECKOUT / "CHANGELOG.md", *sorted(DOCS.glob("*.md"))]
MAKE = re.compile(r"(?:^|`)make((?: [a-z][a-z0-9.-]+)+)", re.MULTILINE)
ERROR = "make is not installed"
"""A message of the loader, which is no command."""
RULE = re.compile(r"^([a-z][a-z0-9%-]*):", re.MULTILINE)


def targets(text: str) -> set[str]:
    """Return all targets of make in a text."""
    return {target for words in MAKE.findall(text.replace(ERROR, "")) for target in words.split()}


@pytest.mark.parametrize("page", [page.name for page in PAGES])
def test_make_has_each_target_that_a_page_names(page: str) -> None:
    rules = RULE.findall((CHECKOUT / "Makefile").read_text())
    patterns = [re.compile(rule.replace("%", ".+")) for rule in rules]
    (text,) = (each.read_text() for each in PAGES if each.name == page)

    assert set() == {target for target in targets(text) if not any(each.fullmatch(target) for each in patterns)}


def test_ci_runs_the_targets_that_the_readme_names() -> None:
    """Both have the same targets."""
    section = (CHECKOUT / "README.md").read_text().partition("## Prove it")[2].partition("\n## ")[0]

    assert targets(section) == targets((CHECKOUT / ".ci/run").read_text().replace("exec ", ""))

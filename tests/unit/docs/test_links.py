# SPDX-License-Identifier: Apache-2.0
"""Links have a target on GitHub too, which makes its own anchors and shows pages that the site does not have."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

import pytest

from tests.unit.docs.page import CHECKOUT, DOCS

if TYPE_CHECKING:
    from pathlib import Path

PAGES = [*sorted(CHECKOUT.glob("*.md")), *sorted(DOCS.rglob("*.md"))]
LINK = re.compile(r"\]\(([^)\s]+)\)")
BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#{1,6} (.*)$", re.MULTILINE)


def anchor(heading: str) -> str:
    """Return GitHub's anchor, in lower case, without punctuation, and with a hyphen for each space."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@cache
def anchors(page: Path) -> list[str]:
    return [anchor(heading) for heading in HEADING.findall(BLOCK.sub("", page.read_text()))]


def is_dead(page: Path, link: str) -> bool:
    path, _, fragment = link.partition("#")
    target = (page.parent / path).resolve() if path else page
    return not target.exists() or bool(fragment and fragment not in anchors(target))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_every_link_within_the_checkout_has_a_target(page: Path) -> None:
    links = [link for link in LINK.findall(page.read_text()) if "://" not in link]

    assert [] == [link for link in links if is_dead(page, link)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_no_two_headings_of_a_page_have_one_anchor(page: Path) -> None:
    """GitHub and the site would number the second anchor differently."""
    found = anchors(page)

    assert sorted(set(found)) == sorted(found)

# SPDX-License-Identifier: Apache-2.0
"""A fault in a page ends the site's build, and the site loads nothing from other sites."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from publish.project import Project

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECKOUT = Path(__file__).parents[3]
PICTURES = sorted((CHECKOUT / "docs/pictures").iterdir())
PAGES = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").rglob("*.md"))]

NAMED = re.compile(
    r"`((?:agent|benchmarks|bpf|campaign|charts|crds|demo|deploy|docs|examples|image|kernel|operator|scripts|tests|vmtest)"
    r"/[\w./-]*)`"
)
FETCHED = re.compile(r"""(?:<(?:script|img|iframe|source)\b[^>]*\bsrc|<link\b[^>]*\bhref)=["'](?:https?:)?//[^"']*""")
IMPORTED = re.compile(r"""(?:url\(\s*["']?|@import\s+["'])(?:https?:)?//[^)"']*""")

PALETTE = re.compile(r'data-md-color-media="([^"]*)"[^>]*>\s*<label[^>]*title="([^"]*)"')
TABLE = re.compile(r"<table\b.*?</table>", re.DOTALL)
VOID = re.compile(r"<(br)>")


def build(config: Path, site: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", config, "--site-dir", site],
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def small_site(folder: Path, line: str, menu: str, repository: str = "https://git.example/o") -> Path:
    """Make a site of two pages with the real site's settings, and return its mkdocs.yml. One page has `line`."""
    (folder / "docs").mkdir()
    (folder / "docs/index.md").write_text(f"# Page\n\n{line}\n")
    (folder / "docs/other.md").write_text("# Other\n")
    for name in ("scripts", "docs/assets"):
        (folder / name).symlink_to(CHECKOUT / name)
    (folder / "publish").mkdir()
    (folder / "publish/project.toml").write_text(f'repository = "{repository}"\n')
    settings = (CHECKOUT / "mkdocs.yml").read_text().partition("\nnav:")[0]
    (folder / "mkdocs.yml").write_text(f"{settings}\nnav: [{menu}]\n")
    return folder / "mkdocs.yml"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(CHECKOUT / "mkdocs.yml", folder)
    assert 0 == done.returncode, done.stderr
    return folder


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("[there](gone.md)", "contains a link 'gone.md', but the target is not found"),
        ("[there](#gone)", "contains a link '#gone', but there is no such anchor"),
        ("[there](other.md#gone)", "does not contain an anchor '#gone'"),
        ("[there](/other.md)", "contains an absolute link '/other.md'"),
        ("![there](gone.svg)", "contains a link 'gone.svg', but the target is not found"),
        ("[there](../gone/)", "contains an unrecognized relative link '../gone/'"),
    ],
)
def test_a_dead_link_ends_the_build(tmp_path: Path, line: str, complaint: str) -> None:
    """A site of two pages has the real site's settings and one such link."""
    done = build(small_site(tmp_path, line, "index.md, other.md"), tmp_path / "site")

    assert (1, True) == (done.returncode, complaint in done.stderr), done.stderr


def test_a_page_without_a_menu_entry_ends_the_build(tmp_path: Path) -> None:
    """Readers could not find the page."""
    done = build(small_site(tmp_path, "", "index.md"), tmp_path / "site")

    assert (1, True) == (done.returncode, 'not included in the "nav"' in done.stderr), done.stderr


def test_no_built_page_shows_a_fence(site: Path) -> None:
    """A fence that Markdown does not understand is printed as text, and --strict does not report it."""
    pages = list(site.rglob("*.html"))

    assert len(pages) > 10
    assert [] == [page.name for page in pages if "```" in page.read_text()]


def test_the_site_loads_nothing_from_other_sites(site: Path) -> None:
    """This holds for fonts, scripts and images, in each page and style."""
    pages = {str(page.relative_to(site)): FETCHED.findall(page.read_text()) for page in site.rglob("*.html")}
    styles = {str(style.relative_to(site)): IMPORTED.findall(style.read_text()) for style in site.rglob("*.css")}

    assert len(pages) > 10
    assert {} == {name: found for name, found in {**pages, **styles}.items() if found}


def test_a_page_of_the_disk_finds_its_search_index(site: Path) -> None:
    """The theme loads it as a script there. If it is missing, all scripts of the theme end with an error."""
    index = (site / "search/search_index.json").read_text()
    (bundle,) = site.glob("assets/javascripts/bundle.*.js")

    assert "search/search_index.js" in bundle.read_text()
    assert f"var __index = {index}" == (site / "search/search_index.js").read_text()


def test_the_palette_follows_the_readers_system(site: Path) -> None:
    """The first choice of the switch names no scheme of the system. The theme stores the choice at the first visit."""
    page = (site / "install.html").read_text()

    assert [
        ("(prefers-color-scheme)", "Switch to light"),
        ("(prefers-color-scheme: light)", "Switch to dark"),
        ("(prefers-color-scheme: dark)", "Follow the system"),
    ] == PALETTE.findall(page)


def tables(site: Path) -> Iterator[tuple[str, ElementTree.Element]]:
    """Each table of the site, and the name of its page."""
    for page in site.rglob("*.html"):
        for found in TABLE.findall(page.read_text()):
            yield page.name, ElementTree.fromstring(VOID.sub(r"<\1/>", found))  # noqa: S314 (our own page)


def words(cell: ElementTree.Element) -> str:
    return " ".join("".join(cell.itertext()).split())


def test_a_phone_shows_sentences_below_each_other_with_the_names_of_their_columns(site: Path) -> None:
    """A table of sentences beside each other has columns of two words on a phone."""
    stacked = 0
    for page, table in tables(site):
        names = [words(cell) for cell in table.iterfind("thead/tr/th")]
        rows = [list(row) for row in table.iterfind("tbody/tr")]
        long = any(len(words(cell)) > 30 for row in rows for cell in row)
        assert long == ("data-stacked" in table.attrib), (page, names)
        if long:
            stacked += 1
            assert all(names == [cell.get("data-label", "") for cell in row] for row in rows), (page, names)

    assert stacked > 50


def test_other_tables_scroll_in_the_page(site: Path) -> None:
    """The theme's rule for it is for tables without a class."""
    (sheet,) = site.glob("assets/stylesheets/main.*.css")
    rule = re.search(r"\.md-typeset table:not\(\[class\]\)\{([^}]*)\}", sheet.read_text())

    assert rule
    assert {"max-width:100%", "overflow:auto"} <= set(rule[1].split(";"))
    assert [] == [page for page, table in tables(site) if "class" in table.attrib]


def test_a_page_links_to_its_source_in_the_repository(tmp_path: Path) -> None:
    """The footer links to the repository. The address is that of publish/project.toml."""
    done = build(small_site(tmp_path, "", "index.md, other.md", "https://git.test/oompolicy"), tmp_path / "site")
    page = (tmp_path / "site/other.html").read_text()

    assert (0, "") == (done.returncode, FETCHED.search(page) or ""), done.stderr
    assert 'href="https://git.test/oompolicy/edit/main/docs/other.md"' in page
    assert 'href="https://git.test/oompolicy"' in page


def test_no_page_links_to_a_placeholder(site: Path) -> None:
    """A release replaces the address of publish/project.toml, and `make release-check` requires that."""
    linked = ['class="md-social"' in page.read_text() for page in site.rglob("*.html")]
    repository = Project.load().repository

    assert len(linked) > 10
    assert {repository not in Project.load().placeholders} == set(linked)


def test_the_icon_of_the_site_is_that_of_the_chart(site: Path) -> None:
    """A link in docs/ leads to the file."""
    page = (site / "install.html").read_text()

    assert '<link rel="icon" href="assets/icon.svg">' in page
    assert (CHECKOUT / "charts/oompolicy/icon.svg").read_bytes() == (site / "assets/icon.svg").read_bytes()


def test_diagrams_need_no_script(site: Path) -> None:
    """The script of Mermaid would come from another site."""
    assert [] == [page.name for page in site.rglob("*.html") if 'class="mermaid"' in page.read_text()]


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_a_picture_is_complete(picture: Path) -> None:
    """A page shows it, it has a description, works with light and dark themes, and refers to no other file."""
    text = picture.read_text()
    tree = ElementTree.fromstring(text)  # noqa: S314 (our own file)
    tags = {element.tag.rpartition("}")[2] for element in tree.iter()}

    assert {"title", "desc"} <= tags
    assert tags.isdisjoint({"script", "image", "use", "foreignObject"})
    assert "@media (prefers-color-scheme:dark)" in text
    assert any(f"pictures/{picture.name})" in page.read_text() for page in PAGES)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_files_and_folders_that_a_page_names_exist(page: Path) -> None:
    """They may be moved without a change of the page."""
    named = NAMED.findall(page.read_text())

    assert [] == [path for path in named if not (CHECKOUT / path).exists()]

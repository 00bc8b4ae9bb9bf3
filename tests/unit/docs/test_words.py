# SPDX-License-Identifier: Apache-2.0
"""The pages and the docstrings are in plain English, as far as a list of words can show it."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING, Final

import pytest

from tests.unit.docs.page import CHECKOUT, DOCS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGES: Final = [CHECKOUT / "README.md", CHECKOUT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
FOLDERS: Final = (
    "operator",
    "agent",
    "debug",
    "tests",
    "vmtest",
    "demo",
    "benchmarks",
    "campaign",
    "bundle",
    "publish",
)
"""The folders with checked docstrings."""
MODULES: Final = sorted(file for folder in FOLDERS for file in (CHECKOUT / folder).rglob("*.py"))
SEMICOLONS: Final = (
    "agent/oompolicy_agent/kernel/maps.py",
    "tests/image/base.py",
    "vmtest/build.py",
    "vmtest/image.py",
    "vmtest/patched/build.py",
    "vmtest/patched/tree.py",
)
"""The modules that still have semicolons in docstrings. Remove a module when it has none. A change of most of these
rebuilds kernels and images, so do this together with the next change of their code."""

# Each of these words replaces a noun that the sentence does not name.
RELATIVE: Final = re.compile(r"\b(?:what|whatever|who|whom|whoever|whose)\b", re.IGNORECASE)
ALL_PAGES, ONE_PAGE = 4.0, 8.0
"""The largest numbers of relative words in 1,000 words, for all pages together and for one page."""

HOUSE_WORDS: Final = re.compile(
    r"\b(?:(?:is|are) (?:content|well|away)|go(?:es)? round|ha(?:s|ve) a say|dear|told|deaf|the note|as ever"
    r"|of equals|there long since)\b",
    re.IGNORECASE,
)
# "All pods of a node" names a thing, "All full." does not.
# "If it fails, the test ends." is a sentence. "If it fails." and "With a word, and later." are none.
# "With a word it is a sentence." has a verb outside of a relative clause, and "With a word that is long." has none.
CLAUSE: Final = r"(?:[^.]|\.\b)*, (?!(?:and|or|nor|but|too|also)\b)"
WORDS: Final = r"(?:\s(?!(?:that|which|who|whose|where)\b)[^\s,]*[^\s,.])+?"
VERB: Final = rf"{WORDS}\s(?:is|are|has|have|does|can|cannot|may|must)\b"
FRAGMENT: Final = re.compile(
    r"(?:Of|By|Whether|What|Who|Whom|Whose|None|Empty|Not|And|Where|As|But|Nor|Neither|Also|Or|Else|So that)\b"
    rf"|(?:Until|If)\b(?!{CLAUSE})"
    rf"|(?:With|Without)\b(?!{CLAUSE}|{VERB})"
    r"|All(?: \w+){0,3}\."
)

BLOCK: Final = re.compile(r"^ *```.*?^ *```$|<!--.*?-->", re.MULTILINE | re.DOTALL)
LINE: Final = re.compile(r"^ *\|.*$|^#.*$|!\[[^\]]*\]\([^)]*\)", re.MULTILINE)
CODE: Final = re.compile(r"(`+)[^`]+?\1")
LINK: Final = re.compile(r"\[([^\]]*)\]\([^)]*\)")
QUESTION: Final = re.compile(r"[^.!?:\n]*\?")


def without_code(text: str) -> str:
    return CODE.sub("CODE", text)


def prose(page: str) -> str:
    """Return a page's sentences, without code, tables, headings, pictures, the targets of links, and questions."""
    for pattern, replacement in ((BLOCK, ""), (LINE, ""), (CODE, "CODE"), (LINK, r"\1"), (QUESTION, "")):
        page = pattern.sub(replacement, page)
    return page


PROSE: Final = {str(page.relative_to(CHECKOUT)): prose(page.read_text()) for page in PAGES}


def rate(text: str) -> float:
    """Return the number of relative words in 1,000 words."""
    return 1000 * len(RELATIVE.findall(text)) / max(1, len(text.split()))


def around(pattern: re.Pattern[str], text: str) -> list[str]:
    """Return each match with the text around it, for the message of a failure."""
    flat = re.sub(r"\s+", " ", text)
    return [flat[max(0, found.start() - 40) : found.end() + 40] for found in pattern.finditer(flat)]


def docstrings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and text of each string that is a statement: of modules, classes, functions and attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.lineno, node.value.value


def test_all_pages_together_name_the_thing() -> None:
    found = rate("\n".join(PROSE.values()))

    assert found <= ALL_PAGES


@pytest.mark.parametrize("page", PROSE)
def test_a_page_names_the_thing(page: str) -> None:
    assert rate(PROSE[page]) <= ONE_PAGE, around(RELATIVE, PROSE[page])


@pytest.mark.parametrize("page", PROSE)
def test_a_page_has_no_semicolons(page: str) -> None:
    assert [] == around(re.compile(";"), PROSE[page])


@pytest.mark.parametrize("page", PROSE)
def test_a_page_has_no_house_words(page: str) -> None:
    assert [] == around(HOUSE_WORDS, PROSE[page])


@pytest.mark.parametrize("module", MODULES, ids=lambda module: str(module.relative_to(CHECKOUT)))
def test_a_docstring_is_a_plain_sentence(module: Path) -> None:
    """It has no house word, and its first word is not that of a fragment that continues a name."""
    found = [(line, without_code(text)) for line, text in docstrings(ast.parse(module.read_text()))]

    assert [] == [
        f"{line}: {text}" for line, text in found if HOUSE_WORDS.search(text) or FRAGMENT.match(text.lstrip())
    ]


@pytest.mark.parametrize("module", sorted({str(file.relative_to(CHECKOUT)) for file in MODULES} - {*SEMICOLONS}))
def test_a_docstring_has_no_semicolons(module: str) -> None:
    """The semicolons of quoted code do not count."""
    found = [(line, without_code(text)) for line, text in docstrings(ast.parse((CHECKOUT / module).read_text()))]

    assert [] == [f"{line}: {text}" for line, text in found if ";" in text]


def test_the_guard_counts_prose_only() -> None:
    page = """# What a heading says; not counted

| what | a table; has |
|---|---|

Who is it? A [link; whose](what.md) and `code; what`.

```sh
what; who
```

The one whose note is told of; no more.
"""

    assert ["whose", "whose"] == RELATIVE.findall(prose(page))
    assert 2 == prose(page).count(";")
    assert ["told"] == HOUSE_WORDS.findall(prose(page))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("If it fails, the test ends.", False),
        ("Without a policy the default applies, which is 500.", False),
        ("If it fails.", True),
        ("If it fails. The test ends, too.", True),
        ("With a word, and the next one is read.", True),
        ("Until it is over, or stopped.", True),
        ("Of a pod, the labels are read.", True),
        ("Also by the next agent.", True),
        ("With memory.oom.group, the whole pod dies.", False),
        ("With memory.oom.group the pod has no task left.", False),
        ("Without an entry each task has the host's priority, and the biggest one dies.", False),
        ("Without a module the backend is ObserveOnly with the reason. It is reported.", False),
        ("With a word that is long.", True),
        ("With a word. It is read, and the next one is not.", True),
        ("All pods of a node.", False),
        ("All full.", True),
    ],
)
def test_the_guard_distinguishes_fragments_from_sentences(text: str, *, expected: bool) -> None:
    assert expected == bool(FRAGMENT.match(text))


def test_the_guard_finds_docstrings_of_each_kind() -> None:
    source = '''"""Of a module."""
class A:
    """By its name."""

    b: int
    """None until it is read."""

    def c(self) -> None:
        """Return `what;` is deaf; no more."""
'''
    found = [text for _, text in docstrings(ast.parse(source))]

    assert 4 == len(found)
    assert 3 == sum(bool(FRAGMENT.match(text)) for text in found)
    assert ["deaf"] == HOUSE_WORDS.findall(without_code(" ".join(found)))
    assert 1 == without_code(" ".join(found)).count(";")

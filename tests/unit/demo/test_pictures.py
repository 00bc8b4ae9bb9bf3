# SPDX-License-Identifier: Apache-2.0
"""The pictures of the command line, and the order on its page, are those that the program draws now."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest
from rich.text import Text

from demo.pictures import scene
from demo.pictures.terminal import draw
from oompolicy.cli.orderlist import heading, notes, table
from oompolicy.cli.printing import rendered
from oompolicy.order.facts import parse
from oompolicy.order.rank import NODE, ranked
from tests.unit.docs.page import DOCS

NAMES = ("order", "explain")


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_is_drawn_by_the_renderer_of_now(name: str) -> None:
    """After a change of the output, run `.venv/bin/python -m demo.pictures`."""
    assert scene.pictures()[name] == (DOCS / f"pictures/{name}.svg").read_text()


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_needs_no_other_server(name: str) -> None:
    """A browser shows no picture of an `img` that has to load a font."""
    svg = scene.pictures()[name]

    assert ElementTree.fromstring(svg).tag.endswith("svg")  # noqa: S314 (our own picture)
    assert "url(http" not in svg
    assert "@font-face" not in svg


def test_texts_of_a_picture_are_escaped() -> None:
    """Braces of a text are no fields of the format."""
    svg = draw("x", "say {a} <b>", "a {description} & more", Text("<c> {d}"), 40)

    assert '<title id="title">say {a} &lt;b&gt;</title>' in svg
    assert "a {description} &amp; more" in svg
    assert "&lt;c&gt;" in svg


def test_the_page_shows_the_order_of_the_picture() -> None:
    """Both are the answer of the agent in the demo's guest."""
    facts = parse(json.loads(scene.ORDER.read_text()))
    printed = [
        heading(facts),
        *rendered(table(facts, ranked(facts, NODE), NODE, wide=False), colour=False).splitlines(),
    ]
    printed += notes(facts, NODE)

    assert "\n".join(["$ oompolicy order demo-node", *printed, "```"]) in (DOCS / "cli.md").read_text()


def test_the_page_shows_the_explanation_of_the_picture() -> None:
    """Both are from the answers of an API server, with the answer of an agent."""
    printed = f"$ kubectl oom explain {scene.POD} -n {scene.NAMESPACE}\n{scene.explanation(colour=False)}```"

    assert printed in (DOCS / "cli.md").read_text()

# SPDX-License-Identifier: Apache-2.0
"""The texts of the diagrams fit their boxes, measured with the widths of a real font."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree

import pytest

from tests.unit.docs import dejavu
from tests.unit.docs.page import DOCS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PICTURES: Final = [
    picture for picture in sorted((DOCS / "pictures").glob("*.svg")) if "rich-terminal" not in picture.read_text()
]
"""The diagrams. A picture of a terminal has no boxes, and gives each text its width."""
MARGIN: Final = 6
"""Pixels that are free between a text and the border of its box."""
GAP: Final = 4
"""Pixels that are free between two texts of one line."""
RULE: Final = re.compile(r"^([.\w]+)\{([^}]*)\}$", re.MULTILINE)
BOLD: Final = 600


@dataclass(frozen=True)
class Area:
    """A rectangle: the box of a diagram, or the place of a text."""

    left: float
    top: float
    right: float
    bottom: float

    def holds(self, other: Area) -> bool:
        return (
            self.left <= other.left
            and self.top <= other.top
            and other.right <= self.right
            and other.bottom <= self.bottom
        )

    def meets(self, other: Area) -> bool:
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )

    def grown(self, by: float) -> Area:
        """The same area with this much more on the left and on the right."""
        return Area(self.left - by, self.top, self.right + by, self.bottom)


@dataclass(frozen=True)
class Text:
    words: str
    area: Area


def style(sheet: str) -> dict[str, dict[str, str]]:
    """The declarations of each rule of the light scheme, by selector."""
    light = sheet.partition("@media")[0]
    return {
        selector: dict(each.split(":", 1) for each in declared.split(";")) for selector, declared in RULE.findall(light)
    }


def placed(element: ElementTree.Element, rules: dict[str, dict[str, str]]) -> Text:
    words = element.text or ""
    declared = {**rules["text"], **rules.get(f".{element.get('class')}", {})}
    size = float(declared["font-size"].removesuffix("px"))
    wide = dejavu.width(words, size, bold=int(declared.get("font-weight", "400")) >= BOLD)
    before = {"middle": wide / 2, "end": wide}.get(element.get("text-anchor", "start"), 0)
    left, baseline = float(element.attrib["x"]) - before, float(element.attrib["y"])
    return Text(words, Area(left, baseline - 0.73 * size, left + wide, baseline + 0.2 * size))


def drawn(svg: str) -> tuple[list[Text], list[Area]]:
    """The texts and the rectangles of a diagram."""
    tree = ElementTree.fromstring(svg)  # noqa: S314 (our own file)
    named = [(element.tag.rpartition("}")[2], element) for element in tree.iter()]
    (sheet,) = [element.text or "" for tag, element in named if tag == "style"]
    rules = style(sheet)
    boxes = []
    for tag, element in named:
        if tag == "rect":
            x, y, wide, high = (float(element.attrib[name]) for name in ("x", "y", "width", "height"))
            boxes.append(Area(x, y, x + wide, y + high))
    return [placed(element, rules) for tag, element in named if tag == "text"], boxes


def faults(svg: str) -> Iterator[str]:
    """Each text that touches the border of a box, or another text."""
    texts, boxes = drawn(svg)
    for number, text in enumerate(texts):
        near = text.area.grown(MARGIN)
        if any(box.meets(near) and not box.holds(near) for box in boxes):
            yield f"{text.words}: touches a border"
        for other in texts[:number]:
            if other.area.meets(text.area.grown(GAP)):
                yield f"{text.words}: touches {other.words}"


@pytest.mark.parametrize("picture", PICTURES, ids=lambda picture: picture.name)
def test_the_texts_of_a_diagram_fit_their_boxes(picture: Path) -> None:
    """A text has six free pixels to each border, and four to the next text of its line."""
    svg = picture.read_text()

    assert len(drawn(svg)[0]) > 10
    assert [] == list(faults(svg))


def diagram(words: str, wide: int) -> str:
    return (
        "<svg><style>\ntext{font-size:16px}\n.name{font-weight:600}\n</style>"
        f'<rect x="0" y="0" width="{wide}" height="40"/><text class="name" x="{wide / 2}" y="24" '
        f'text-anchor="middle">{words}</text><text x="{wide + 40}" y="24">beside</text></svg>'
    )


def test_a_text_that_is_wider_than_its_box_is_found() -> None:
    """Chromium draws this text 241 pixels wide in DejaVu Sans Bold."""
    words = "reads policies and its pods"

    assert [f"{words}: touches a border"] == list(faults(diagram(words, 238)))
    assert [] == list(faults(diagram(words, 256)))


def test_two_texts_that_touch_are_found() -> None:
    """Their boxes do not matter."""
    both = (
        "<svg><style>\ntext{font-size:16px}\n</style>"
        '<text x="0" y="20">some words</text><text x="60" y="22">b</text></svg>'
    )

    assert ["b: touches some words"] == list(faults(both))

# SPDX-License-Identifier: Apache-2.0
"""The picture of the demo shows the figures that the guest recorded."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from demo.node import picture, record
from demo.node.record import Pod, Record
from demo.node.story import GROWS, HOLDS_MIB

ROOT = Path(__file__).parents[3]
WITHOUT = (Pod("shop/postgres-0", 110, 1050, None, True), Pod("batch/report-1", 70, 900, None, False))
WITH = (Pod("shop/postgres-0", 110, 1050, 900, False), Pod("batch/report-1", 72, 900, 100, True))
RECORD = Record("6.12.1", WITHOUT, WITH)


def elements(svg: str) -> list[ElementTree.Element]:
    return list(ElementTree.fromstring(svg).iter())  # noqa: S314 (our own picture)


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in elements(svg) if element.tag.endswith("text")]


def test_each_pod_has_its_rank_and_its_memory() -> None:
    found = texts(picture.draw(RECORD))

    assert 2 == found.count("shop/postgres-0")
    assert 2 == found.count("110 MiB")
    assert ["oom_score 1050", "oom_score 900"] == [text for text in found if text.startswith("oom_score")]
    assert ["priority 900", "priority 100"] == [text for text in found if text.startswith("priority")]


def test_each_act_shows_one_killed_pod() -> None:
    svg = picture.draw(RECORD)

    assert 2 == texts(svg).count("killed")
    assert 2 == svg.count('class="killed"')
    assert "the kernel killed shop/postgres-0 (110 MiB). With it, batch/report-1 (72 MiB)." in svg


def test_the_longest_bar_is_the_largest_pods() -> None:
    svg = picture.draw(Record("6.12.1", (Pod("a/big", 400, 1, None, True), Pod("a/small", 1, 1, None, False)), ()))
    bars = [element for element in elements(svg) if element.get("class") in {"alive", "killed"}]

    assert ["150", "4"] == [bar.get("width") for bar in bars]


def test_names_of_pods_are_escaped() -> None:
    assert "<b>" in texts(picture.draw(Record("6.12.1", (Pod("<b>", 1, 1, None, False),), ())))


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    record.save(RECORD, tmp_path / "demo.json")

    assert RECORD == record.load(tmp_path / "demo.json")


def test_the_picture_in_the_readme_shows_the_demos_pods() -> None:
    found = texts((ROOT / "docs/pictures/demo.svg").read_text())
    named = [name for name in HOLDS_MIB if any(f"/{name}" in text for text in found)]

    assert list(HOLDS_MIB) == named
    assert [f"{GROWS}" in text for text in found if "/" in text].count(True) == 2

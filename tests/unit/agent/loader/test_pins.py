# SPDX-License-Identifier: Apache-2.0
"""How the tree of pins changes: what goes, what stays, what takes whose place."""

from pathlib import Path

import pytest

from oompolicy_agent.kernel.maps import MapInfo
from oompolicy_agent.loader import pins
from oompolicy_agent.loader.pins import Pins

SHAPE = MapInfo(type=6, id=0, key_size=4, value_size=8, max_entries=11)


def make(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).write_text(str(folder.name))
    return folder


REPORTS, DECIDES = frozenset({"victim_marked"}), frozenset({"victim_marked", "evaluate_task"})


@pytest.mark.parametrize(
    ("generations", "expected"),
    [
        ({}, ()),
        ({"a1": DECIDES}, ()),
        ({"a1": DECIDES, "unfinished_0": DECIDES, "unfinished_1": REPORTS}, ("unfinished_0", "unfinished_1")),
        ({"unfinished_0": frozenset()}, ()),
        ({f"unfinished_{n}": DECIDES for n in range(19)}, tuple(f"unfinished_{n}" for n in range(18))),
        ({"unfinished_0": DECIDES, "unfinished_1": REPORTS, "unfinished_2": REPORTS}, ("unfinished_1", "unfinished_2")),
        ({"unfinished_0": REPORTS, "unfinished_1": frozenset({"evaluate_task", "oom_begins"})}, ("unfinished_1",)),
        ({"unfinished_0": DECIDES | {"oom_begins"}, "unfinished_1": DECIDES}, ("unfinished_1",)),
    ],
)
def test_one_unfinished_generation_stays_where_it_may_be_all_that_enforces(
    generations: dict[str, frozenset[str]], expected: tuple[str, ...]
) -> None:
    """And no other: each takes two of the 38 places that out_of_memory() has."""
    assert expected == pins.leftovers(generations)


def test_unfinished_generations_get_a_free_name(tmp_path: Path) -> None:
    make(tmp_path / "links" / "unfinished_0")

    assert tmp_path / "links" / "unfinished_1" == Pins(tmp_path).unfinished()


def test_disowned_generations_keep_their_links(tmp_path: Path) -> None:
    tree = Pins(tmp_path)
    make(tree.links / "a1", "evaluate_task")
    make(tree.links / "unfinished_0", "evaluate_task")

    tree.disown()

    assert tree.generations == ("unfinished_0", "unfinished_1")
    assert (tree.links / "unfinished_1" / "evaluate_task").read_text() == "a1"


def test_what_is_put_takes_the_place_and_the_old_is_gone(tmp_path: Path) -> None:
    new, old = make(tmp_path / "new", "x", "y"), make(tmp_path / "old", "x", "z")

    pins.put(new, old)

    assert pins.names_in(tmp_path) == ("old",)
    assert pins.names_in(old) == ("x", "y")


def test_what_is_put_where_nothing_was_is_there(tmp_path: Path) -> None:
    pins.put(make(tmp_path / "new", "x"), tmp_path / "old")

    assert pins.names_in(tmp_path / "old") == ("x",)


def test_removing_what_is_not_there_does_nothing(tmp_path: Path) -> None:
    pins.remove(tmp_path / "missing")

    assert pins.names_in(tmp_path / "missing") == ()


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"stats": SHAPE._replace(id=7)}, frozenset()),
        ({}, {"stats"}),
        ({"stats": SHAPE._replace(max_entries=12)}, {"stats"}),
        ({"stats": SHAPE._replace(value_size=16), "other": SHAPE}, {"stats"}),
    ],
)
def test_maps_differ_by_shape_and_not_by_id(found: dict[str, MapInfo], expected: set[str]) -> None:
    assert expected == pins.differing({"stats": SHAPE}, found)

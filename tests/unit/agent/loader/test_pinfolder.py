# SPDX-License-Identifier: Apache-2.0
"""How the folder of pins changes: the generations and maps that stay, go, or are replaced."""

from pathlib import Path

import pytest

from oompolicy_agent.kernel.maps import MapInfo
from oompolicy_agent.loader import pinfolder
from oompolicy_agent.loader.pinfolder import PinFolder

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
def test_one_unfinished_generation_stays_if_it_may_be_the_only_one_that_enforces(
    generations: dict[str, frozenset[str]], expected: tuple[str, ...]
) -> None:
    """All others go, because each takes two of the 38 places that out_of_memory() has."""
    assert expected == pinfolder.leftovers(generations)


def test_unfinished_generations_get_a_free_name(tmp_path: Path) -> None:
    make(tmp_path / "links" / "unfinished_0")

    assert tmp_path / "links" / "unfinished_1" == PinFolder(tmp_path).unfinished()


def test_disowned_generations_keep_their_links(tmp_path: Path) -> None:
    pins = PinFolder(tmp_path)
    make(pins.links / "a1", "evaluate_task")
    make(pins.links / "unfinished_0", "evaluate_task")

    pins.disown()

    assert pins.generations == ("unfinished_0", "unfinished_1")
    assert (pins.links / "unfinished_1" / "evaluate_task").read_text() == "a1"


def test_a_folder_replaces_another_one_with_its_content(tmp_path: Path) -> None:
    new, old = make(tmp_path / "new", "x", "y"), make(tmp_path / "old", "x", "z")

    pinfolder.put(new, old, tmp_path / "aside")

    assert pinfolder.names_in(tmp_path) == ("old",)
    assert pinfolder.names_in(old) == ("x", "y")


def test_a_folder_can_be_put_at_a_free_path(tmp_path: Path) -> None:
    pinfolder.put(make(tmp_path / "new", "x"), tmp_path / "old", tmp_path / "aside")

    assert pinfolder.names_in(tmp_path / "old") == ("x",)


@pytest.mark.parametrize("there", [True, False])
def test_maps_that_were_set_aside_come_back_if_no_others_took_their_place(tmp_path: Path, *, there: bool) -> None:
    """A loader was killed before or after it put the other maps in place."""
    aside, target = make(tmp_path / "aside", "earlier"), tmp_path / "maps"
    if there:
        make(target, "later")

    pinfolder.restore(aside, target)

    assert pinfolder.names_in(tmp_path) == ("maps",)
    assert pinfolder.names_in(target) == ("later" if there else "earlier",)


def test_removing_a_missing_folder_does_nothing(tmp_path: Path) -> None:
    pinfolder.remove(tmp_path / "missing")

    assert pinfolder.names_in(tmp_path / "missing") == ()


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
    assert expected == pinfolder.differing({"stats": SHAPE}, found)

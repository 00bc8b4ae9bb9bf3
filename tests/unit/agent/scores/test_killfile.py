# SPDX-License-Identifier: Apache-2.0
"""The agent takes each kill of the adjuster's file once, and knows how many it has missed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from oompolicy_agent.kernellog import handover
from oompolicy_agent.kernellog.handover import KEPT, Handover
from oompolicy_agent.scores.killfile import KillFile
from tests.unit.agent.fakes import BOOT

if TYPE_CHECKING:
    from pathlib import Path


class Scene:
    def __init__(self, folder: Path) -> None:
        self.path, self.taken = folder / "kills.json", folder / "state/kernel-log.json"
        self.taken.parent.mkdir()
        self.content = Handover(BOOT, "", 0, begin_ns=100)
        self.start()

    def start(self) -> None:
        self.file = KillFile(self.path, self.taken, BOOT)

    def add(self, *pids: int, lost: int = 0) -> None:
        """Add kills to the file, as the adjuster does in one write."""
        for pid in pids:
            self.content = self.content.with_kill({"pid": pid})
        self.content = replace(self.content, lost=self.content.lost + lost)
        handover.write(self.path, self.content)

    def take(self) -> list[int]:
        kills = self.file.new()
        if kills:
            self.file.took(kills[-1]["number"])
        return [each["pid"] for each in kills]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path)


def test_each_kill_is_taken_once(scene: Scene) -> None:
    assert [] == scene.take()
    scene.add(1, 2)
    assert [1, 2] == scene.take()
    assert [] == scene.take()
    scene.add(3)
    assert [3] == scene.take()
    assert (3, 0) == (scene.file.found, scene.file.lost)


def test_an_agent_that_starts_again_continues(scene: Scene) -> None:
    scene.add(1, 2)
    scene.take()
    scene.add(3)
    scene.start()

    assert [3] == scene.take()


def test_kills_that_were_not_taken_before_the_end_are_taken_again(scene: Scene) -> None:
    """The agent was killed between the read and the write of the number. Its spool recognizes the kills."""
    scene.add(1)
    assert 1 == len(scene.file.new())
    scene.start()

    assert [1] == scene.take()


def test_kills_that_left_the_file_count_as_lost(scene: Scene) -> None:
    """They stay counted after a restart, with those that the adjuster has lost."""
    scene.add(1)
    scene.take()
    scene.add(*range(2, KEPT + 5), lost=7)
    assert KEPT == len(scene.take())
    assert (3 + 7, KEPT + 4 + 7) == (scene.file.lost, scene.file.found)
    scene.start()
    scene.add(9)

    assert [9] == scene.take()
    assert 3 + 7 == scene.file.lost


@pytest.mark.parametrize("new", [(4,), (4, 5, 6), (4, 5, 6, 7, 8)])
@pytest.mark.parametrize("restarted", [False, True])
def test_an_adjuster_that_begins_anew_counts_from_one(scene: Scene, new: tuple[int, ...], *, restarted: bool) -> None:
    """It may have found as many kills as before, or more, before the agent looks."""
    scene.add(1, 2, 3)
    scene.take()
    if restarted:
        scene.start()
    scene.content = Handover(BOOT, "", 0, begin_ns=200)
    scene.add(*new)

    assert list(new) == scene.take()
    assert 0 == scene.file.lost
    scene.start()
    scene.add(9)
    assert [9] == scene.take()


@pytest.mark.parametrize("begin_ns", [0, 200])
def test_a_number_without_the_begin_of_its_numbering_is_one_of_this_file(scene: Scene, begin_ns: int) -> None:
    """An agent of an earlier release wrote it. No kill is lost or taken twice after an upgrade."""
    scene.content = Handover(BOOT, "", 0, begin_ns=begin_ns)
    scene.add(1, 2, 3)
    scene.taken.write_text(json.dumps({"version": 1, "bootId": BOOT, "taken": 2, "missed": 1}))
    scene.start()

    assert [3] == scene.take()
    assert 1 == scene.file.lost
    scene.content = Handover(BOOT, "", 0, begin_ns=300)
    scene.add(4, 5, 6)
    assert [4, 5, 6] == scene.take()


def test_a_small_file_is_a_new_one_also_without_the_begin_of_its_numbering(scene: Scene) -> None:
    """An adjuster of an earlier release wrote it."""
    scene.content = Handover(BOOT, "", 0)
    scene.add(1, 2, 3)
    scene.take()
    scene.content = Handover(BOOT, "", 0)
    scene.add(4)

    assert [4] == scene.take()


def test_the_file_of_another_boot_has_no_kills(scene: Scene) -> None:
    scene.content = Handover("another boot", "", 0)
    scene.add(1)

    assert [] == scene.take()


def test_a_number_from_another_boot_does_not_count(scene: Scene) -> None:
    scene.add(1, 2)
    KillFile(scene.path, scene.taken, "another boot").took(9)
    scene.start()

    assert [1, 2] == scene.take()


def test_a_damaged_file_is_read_again_after_its_repair(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """So is the file of the number, and its damage is logged."""
    scene.path.write_text('{"version": 1')
    assert [] == scene.take()
    scene.taken.write_text("[")
    scene.start()
    assert "kernel-log.json is not used" in caplog.text
    scene.add(1)

    assert [1] == scene.take()


def test_a_disk_that_is_full_is_logged(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """The kills are not taken a second time as long as the agent runs."""
    scene.add(1)
    scene.taken.parent.rmdir()

    assert [1] == scene.take()
    assert [] == scene.take()
    assert "the number of the last kill cannot be written" in caplog.text

# SPDX-License-Identifier: Apache-2.0
"""The adjuster follows the kernel's log while the agent asks for it, and knows where the victims ran."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from oompolicy_agent.adjuster import logged
from oompolicy_agent.adjuster.group import Group, Process, ProcessId
from oompolicy_agent.adjuster.logged import LoggedKills
from oompolicy_agent.adjuster.look import Look
from oompolicy_agent.kernellog import handover
from oompolicy_agent.plumbing.loop import Loop
from tests.unit.agent.adjuster.machine import BOOT
from tests.unit.agent.kernellog.lines import killed, line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path


class FakeWatch:
    """A watch that a test wakes up."""

    def __init__(self) -> None:
        self.fd, self._writer = os.pipe()
        self.woken, self.watched = 0, frozenset[str]()

    def watch(self, cgroups: Iterable[str]) -> None:
        self.watched = frozenset(cgroups)

    def wake(self) -> None:
        self.woken += 1
        os.write(self._writer, b"x")

    def acknowledge(self) -> None:
        if self.woken:
            os.read(self.fd, self.woken)
        self.woken = 0

    def close(self) -> None:
        os.close(self.fd)
        os.close(self._writer)


class Scene:
    """The kills in a log that the test writes."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path, self.now, self.counted = folder / "kills.json", 1000.0, 0
        self.lines, self.reads = [line(6, 0, b"boot")], 0
        self.watch = FakeWatch()
        monkeypatch.setattr(logged, "KillWatch", lambda: self.watch)
        self.loop = Loop(lambda: self.now)
        self.kills = LoggedKills(
            self.path,
            BOOT,
            self.loop,
            read_log=self.read,
            counted=lambda: self.counted,
        )

    def read(self) -> bytes:
        self.reads += 1
        return b"".join(each + b"\n" for each in self.lines)

    def kill(self, pid: int) -> None:
        self.counted += 1
        self.lines.append(line(3, self.counted, killed(pid)))

    def step(self, seconds: float = 0.0) -> None:
        self.now += seconds
        self.loop.after(0, "turn", lambda: None)
        self.loop.step()

    def look(self, *processes: tuple[int, int]) -> None:
        """Look at processes, each with its pid and its cgroup. 0 is the cgroup of a host process."""
        made = {pid: Process(ProcessId(pid, pid * 10), 1, 0, 5) for pid, _ in processes}
        groups = tuple(Group(cgroup, 500, (made[pid],)) for pid, cgroup in processes if cgroup)
        host = tuple(made[pid] for pid, cgroup in processes if not cgroup)
        self.kills.looked(Look(groups, (), (), frozenset(), ("/kubepods",), host))

    @property
    def found(self) -> list[dict[str, Any]]:
        return [dict(each) for each in handover.read(self.path).kills]

    @property
    def pids(self) -> list[int]:
        return [each["pid"] for each in self.found]


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    made = Scene(tmp_path, monkeypatch)
    yield made
    made.kills.close()
    made.loop.close()


def test_nothing_is_read_until_the_agent_asks(scene: Scene) -> None:
    """A file that an earlier adjuster left is removed."""
    scene.path.write_text("{}")
    scene.kills.follow(wanted=False)
    scene.look((1, 0))
    scene.watch.wake()
    scene.step()

    assert 0 == scene.reads
    assert not scene.path.exists()
    assert frozenset() == scene.watch.watched


def test_a_change_of_memory_events_is_followed_at_once(scene: Scene) -> None:
    """The next events within 0.1 s wait for its end, because a cgroup at its limit has many without a kill."""
    scene.kills.follow(wanted=True)
    scene.look((1, 0))
    assert frozenset({"/kubepods"}) == scene.watch.watched
    scene.kill(1)
    scene.watch.wake()
    scene.step()
    assert [1] == scene.pids
    scene.kill(2)
    scene.watch.wake()
    scene.step(0.05)
    assert [1] == scene.pids
    scene.step(0.06)
    assert [1, 2] == scene.pids
    scene.kill(3)
    scene.watch.wake()
    scene.step()

    assert [1, 2, 3] == scene.pids


def test_the_end_of_the_request_removes_the_file(scene: Scene) -> None:
    """An event that comes after it is no reason to read the log. The next request begins anew."""
    scene.kills.follow(wanted=True)
    scene.kill(1)
    scene.watch.wake()
    scene.step()
    scene.kills.follow(wanted=False)
    assert not scene.path.exists()
    scene.kill(2)
    scene.watch.wake()
    scene.step(0.2)
    assert not scene.path.exists()
    scene.kills.follow(wanted=True)
    scene.kill(3)
    scene.kills.follow(wanted=True)

    assert [3] == scene.pids


def test_places_from_an_earlier_request_do_not_count(scene: Scene) -> None:
    """Meanwhile another process may have the pid."""
    scene.kills.follow(wanted=True)
    scene.look((1, 4711))
    scene.kills.follow(wanted=False)
    scene.kills.follow(wanted=True)
    scene.look((2, 4712))
    scene.kill(1)
    scene.kills.follow(wanted=True)

    assert [0] == [each["cgroup"] for each in scene.found]


def test_a_victim_has_its_place_from_the_last_look_that_saw_it(scene: Scene) -> None:
    """A look right after the kill does not find it any more. A process that no look saw has no place."""
    scene.kills.follow(wanted=True)
    scene.look((1, 4711), (2, 0), (3, 4712))
    scene.look((2, 0), (4, 4713))
    for pid in (1, 2, 5):
        scene.kill(pid)
    scene.kills.follow(wanted=True)

    assert [(4711, 10), (0, 20), (0, 0)] == [(each["cgroup"], each["startTime"]) for each in scene.found]

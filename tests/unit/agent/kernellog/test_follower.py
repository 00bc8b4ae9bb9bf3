# SPDX-License-Identifier: Apache-2.0
"""Each kill in the log is added to the file for the agent once, also if the log is overwritten or a program killed."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING, Any

import pytest

from oompolicy_agent.kernellog import handover
from oompolicy_agent.kernellog.follower import GRACE, LogFollower, counted_kills
from oompolicy_agent.kernellog.handover import KEPT, Place
from tests.unit.agent.fakes import BOOT
from tests.unit.agent.kernellog.lines import killed, line, summary

if TYPE_CHECKING:
    from pathlib import Path

SECOND = 1_000_000_000
GROUP = b"Tasks in /a/b are going to be killed due to memory.oom.group set"


class Machine:
    """A log, a clock, the kernel's number of kills, and a follower of them."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "kills.json"
        self.now, self.counted, self.reads = 100 * SECOND, 0, 0
        self.lines: list[bytes] = []
        self.error: OSError | None = None
        self.places: dict[int, Place] = {}
        self.say(b"boot")
        self.start()

    def start(self, boot: str = BOOT) -> None:
        self.follower = LogFollower(
            self.path,
            boot,
            self.places.get,
            read_log=self.read,
            counted=lambda: self.counted,
            clock=lambda: self.now,
        )

    def read(self) -> bytes:
        self.reads += 1
        if self.error:
            raise self.error
        return b"".join(each + b"\n" for each in self.lines)

    def say(self, text: bytes, *, behind: int = 0) -> None:
        """Log a record. The log's clock is `behind` nanoseconds behind the boot clock."""
        self.now += 1_000_000
        self.lines.append(line(3, (self.now - behind) // 1000, text))

    def kill(self, *pids: int, behind: int = 0) -> None:
        for pid in pids:
            self.counted += 1
            self.say(killed(pid), behind=behind)

    def follow(self) -> None:
        self.follower.follow()

    def pass_(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)
        self.follow()

    @property
    def kills(self) -> list[dict[str, Any]]:
        return [dict(each) for each in handover.read(self.path).kills]

    @property
    def pids(self) -> list[int]:
        return [each["pid"] for each in self.kills]

    @property
    def lost(self) -> int:
        return handover.read(self.path).lost


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_each_numbering_has_its_begin(machine: Machine) -> None:
    """An adjuster that is started again continues the numbering. One whose file was removed begins another one."""
    machine.kill(1)
    machine.follow()
    begin = handover.read(machine.path).begin_ns
    assert machine.now == begin
    machine.start()
    machine.kill(2)
    machine.follow()
    assert (begin, 1) == (handover.read(machine.path).begin_ns, handover.read(machine.path).last)
    machine.follower.end()
    machine.kill(3)
    machine.follow()

    assert machine.now == handover.read(machine.path).begin_ns > begin


def test_kills_from_before_the_first_follower_are_left_out(machine: Machine) -> None:
    machine.kill(1)
    machine.follow()
    machine.kill(2, 3)
    machine.follow()

    assert [2, 3] == machine.pids
    assert [1, 2] == [each["number"] for each in machine.kills]
    assert "" == machine.follower.problem


def test_the_log_is_read_only_after_a_kill(machine: Machine) -> None:
    machine.follow()
    before = machine.reads
    for _ in range(5):
        machine.pass_(1)
    assert before == machine.reads
    machine.kill(1)
    machine.follow()

    assert before + 1 == machine.reads


@pytest.mark.parametrize("restarts", [False, True])
def test_a_kill_is_added_once(machine: Machine, restarts: bool) -> None:
    """An adjuster that starts again continues behind the last kill."""
    machine.follow()
    for pid in range(1, 6):
        machine.kill(pid)
        if restarts:
            machine.start()
        machine.follow()
        machine.follow()

    assert [1, 2, 3, 4, 5] == machine.pids
    assert 0 == machine.lost


def test_an_adjuster_of_another_boot_begins_anew(machine: Machine) -> None:
    machine.follow()
    machine.kill(1)
    machine.follow()
    machine.start("another boot")
    machine.follow()

    assert [] == machine.kills
    assert "another boot" == handover.read(machine.path).boot_id


def test_a_follower_that_was_not_wanted_for_a_while_begins_anew(machine: Machine) -> None:
    """Meanwhile a program reported the kills."""
    machine.follow()
    machine.kill(1)
    machine.follow()
    machine.follower.end()
    assert not machine.path.exists()
    machine.kill(2)
    machine.follow()
    machine.kill(3)
    machine.follow()

    assert [3] == machine.pids


def test_the_second_line_of_a_group_belongs_to_the_same_kill(machine: Machine) -> None:
    """The kernel counts it, so nothing is lost. The reads may end anywhere in the group."""
    machine.follow()
    machine.say(summary(1))
    machine.kill(1)
    machine.follow()
    machine.say(GROUP)
    machine.kill(1)
    machine.follow()
    machine.kill(2)
    machine.follow()
    machine.pass_(2 * GRACE)

    assert [(1, None), (2, "/a/b")] == [(each["pid"], each["group"]) for each in machine.kills]
    assert ("/a", 0) == (machine.kills[1]["scope"], machine.lost)


def test_a_kill_that_is_counted_before_it_is_logged_is_not_lost(machine: Machine) -> None:
    machine.follow()
    machine.counted += 1
    machine.follow()
    machine.pass_(GRACE / 2)
    machine.say(killed(1))
    machine.follow()
    machine.pass_(2 * GRACE)

    assert ([1], 0) == (machine.pids, machine.lost)


@pytest.mark.parametrize("overwritten", [1, 3])
def test_kills_that_were_overwritten_count_as_lost(machine: Machine, overwritten: int) -> None:
    """The kills that the log still has are added at once."""
    machine.follow()
    machine.kill(*range(1, overwritten + 1))
    machine.lines.clear()
    machine.kill(8)
    machine.follow()
    assert ([8], 0) == (machine.pids, machine.lost)
    machine.pass_(GRACE / 2)
    assert 0 == machine.lost
    machine.pass_(GRACE)
    assert overwritten == machine.lost
    machine.kill(9)
    machine.follow()
    machine.pass_(2 * GRACE)

    assert ([8, 9], overwritten) == (machine.pids, machine.lost)


def test_a_log_that_was_cleared_is_no_problem(machine: Machine) -> None:
    """After `dmesg --clear` the log is empty for every reader."""
    machine.lines.clear()
    machine.follow()
    machine.kill(1)
    machine.follow()
    machine.lines.clear()
    machine.follow()
    machine.kill(2)
    machine.follow()

    assert ([1, 2], "") == (machine.pids, machine.follower.problem)


def test_the_file_keeps_a_bounded_number_of_kills(machine: Machine) -> None:
    machine.follow()
    machine.kill(*range(1, KEPT + 11))
    machine.follow()

    assert list(range(11, KEPT + 11)) == machine.pids
    assert KEPT + 10 == handover.read(machine.path).last


def test_the_time_of_a_kill_is_that_of_the_boot_clock(machine: Machine) -> None:
    """The log's clock may be behind. The record that the reader has just got shows by how much."""
    machine.follow()
    machine.kill(1, behind=3_000_000)
    machine.follow()
    assert machine.now == machine.kills[0]["bootTimeNs"]
    machine.kill(2, behind=3_000_000)
    died, machine.now = machine.now, machine.now + 60 * SECOND
    machine.start()
    machine.follow()

    assert 0 <= machine.kills[1]["bootTimeNs"] - died < 10_000_000


def test_a_kill_has_its_place_at_the_last_look(machine: Machine) -> None:
    machine.follow()
    machine.places[1] = Place(4711, 88)
    machine.kill(1, 2)
    machine.follow()

    assert [(4711, 88), (0, 0)] == [(each["cgroup"], each["startTime"]) for each in machine.kills]


def test_a_log_that_may_not_be_read_is_a_problem(machine: Machine) -> None:
    """It names the capability. As soon as the log can be read, the problem is gone."""
    machine.error = PermissionError(1, "Operation not permitted", "syslog(2)")
    machine.follow()
    assert "cannot be read" in machine.follower.problem
    assert "capability SYSLOG (kernelLog.enabled in the chart)" in machine.follower.problem
    machine.error = None
    machine.follow()

    assert "" == machine.follower.problem


def test_a_log_without_times_is_a_problem(machine: Machine) -> None:
    machine.lines = [b"<6>Linux version 6.12"]
    machine.follow()

    assert "set printk.time=1" in machine.follower.problem


def test_a_full_run_directory_is_a_problem_and_loses_nothing(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.follow()
    machine.kill(1)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(handover, "write", full)
        machine.follow()
    assert "cannot be written for the agent: [Errno 28]" in machine.follower.problem
    machine.follow()

    assert ([1], "") == (machine.pids, machine.follower.problem)


def test_a_file_that_cannot_be_removed_does_not_end_the_adjuster(machine: Machine) -> None:
    """Scores must not depend on it."""
    machine.path.mkdir()

    machine.follower.end()


def test_every_user_may_read_the_file(machine: Machine) -> None:
    """The agent has another user, and status.json has the same facts."""
    machine.follow()

    assert 0o644 == stat.S_IMODE(machine.path.stat().st_mode)


def test_the_kernels_number_of_kills_is_read(tmp_path: Path) -> None:
    """A kernel without it is an error, because no loss would be noticed."""
    path = tmp_path / "vmstat"
    path.write_text("nr_free_pages 12\noom_kill_other 5\noom_kill 4711\n")
    assert 4711 == counted_kills(path)
    path.write_text("nr_free_pages 12\n")
    with pytest.raises(OSError, match="CONFIG_VM_EVENT_COUNTERS"):
        counted_kills(path)
    assert counted_kills() >= 0

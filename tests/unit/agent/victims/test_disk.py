# SPDX-License-Identifier: Apache-2.0
"""A real disk that is full or read-only loses no victim and no count, and does not end the agent."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from oompolicy_agent.victims.losses import Losses
from oompolicy_agent.victims.spool import MAX_HELD, MAX_HELD_EACH, Spool
from tests.unit.agent.fakes import BOOT, record
from tests.unit.agent.test_main import AGENT, POLICY, flags

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

POD = "kubepods.slice/kubepods-pod{:08}_bc8f_41cc_8570_f0ae38ab242e.slice/cri-containerd-" + "ab" * 32 + ".scope"


def mount(*arguments: str) -> None:
    """Mount, or skip the test if this user or this container may not."""
    if os.geteuid():
        pytest.skip("a file system of a test's own takes root")
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a file system of a test's own cannot be mounted: {done.stderr.strip()}")


class Disk:
    """A small file system of the test's own."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def fill(self) -> None:
        """Use up all room."""
        size = 1024 * 1024
        with (self.path / "big").open("wb", buffering=0) as file:
            while size:
                try:
                    file.write(bytes(size))
                except OSError:
                    size //= 2

    def empty(self) -> None:
        """Make the room free again."""
        (self.path / "big").unlink()

    def read_only(self) -> None:
        """Remount it read-only, as the kernel does after errors."""
        mount("-o", "remount,ro", str(self.path))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    path = tmp_path / "disk"
    path.mkdir()
    mount("-t", "tmpfs", "-o", "size=2m", "tmpfs", str(path))
    yield Disk(path)
    subprocess.run(["umount", "--lazy", str(path)], check=True)


def kill(spool: Spool, tgid: int, pod: int = 1, **fields: Any) -> str | None:  # noqa: ANN401
    path = POD.format(pod)
    return spool.add(bytes(record(path, (1, 2, 3, 4), victim_tgid=tgid, **fields)))


def victims(spool: Spool) -> int:
    """Return the number of victims that the spooled records stand for."""
    return sum(1 + found.repeats for name in spool.pending if (found := spool.read(name)))


def test_a_full_disk_loses_no_victim_and_no_count(disk: Disk) -> None:
    """A few records of one container's victims wait in memory, and the newest counts the others."""
    spool = Spool(disk.path / "spool", BOOT)
    first = kill(spool, 1, pod=2)
    disk.fill()
    others = [kill(spool, tgid, pod=tgid) for tgid in range(3, 8)]
    for tgid in range(1000, 1361):
        kill(spool, tgid)

    assert {first, *others} <= set(spool.pending)
    assert (367, 0) == (victims(spool), spool.dropped)
    assert 1 + 5 + MAX_HELD_EACH == len(spool.pending)
    assert f"366 victims cannot be written to {disk.path / 'spool'}" == (spool.problem or "")
    disk.empty()
    spool.retry_held()
    assert (None, 367) == (spool.problem, victims(Spool(disk.path / "spool", BOOT)))


def test_victims_lost_by_a_restart_on_a_full_disk_are_counted(disk: Disk) -> None:
    """The next agent counts them, although the disk had no room in between."""
    spool = Spool(disk.path / "spool", BOOT)
    disk.fill()
    for tgid in range(1, 101):
        kill(spool, tgid)
    spool.retry_held()
    again = Spool(disk.path / "spool", BOOT)
    again.retry_held()

    assert ((), 100) == (again.pending, again.dropped)
    assert 100 == Spool(disk.path / "spool", BOOT).dropped


def test_a_victim_that_waits_in_memory_and_is_reported_is_not_lost(disk: Disk) -> None:
    """The API server can answer while the disk is full."""
    spool = Spool(disk.path / "spool", BOOT)
    disk.fill()
    for tgid in range(1, 6):
        kill(spool, tgid)
    for name in spool.pending:
        spool.done(name)
    spool.retry_held()

    assert 0 == Spool(disk.path / "spool", BOOT).dropped


def test_on_a_full_disk_the_container_with_most_records_loses_one(disk: Disk) -> None:
    """The number of records in memory is bounded too."""
    spool = Spool(disk.path / "spool", BOOT)
    disk.fill()
    for tgid in range(1, 10 * MAX_HELD + 1):
        kill(spool, tgid, pod=tgid % 10)
    one = kill(spool, 100_000, pod=77)

    assert len(spool.pending) <= MAX_HELD
    assert one in spool.pending
    assert 10 * MAX_HELD + 1 == victims(spool) + spool.dropped


def test_a_report_under_way_needs_no_room(disk: Disk) -> None:
    """The next update of the series counts such victims. Only a report that comes back is lost."""
    spool = Spool(disk.path / "spool", BOOT)
    disk.fill()
    names = []
    for tgid in range(1, 362):
        name = kill(spool, tgid)
        assert name is not None
        spool.complete(name)
        names.append(name)
    assert (MAX_HELD, 0) == (len(spool.pending), spool.dropped)
    assert not spool.returned(names[0])
    for name in names[1:]:
        spool.done(name)

    assert ((), 1) == (spool.pending, spool.dropped)


def test_a_read_only_disk_is_a_problem_and_delays_no_victim(disk: Disk) -> None:
    """Records of an earlier agent can be reported, and new ones wait in memory."""
    earlier = Spool(disk.path / "spool", BOOT)
    left = kill(earlier, 1)
    disk.read_only()
    spool = Spool(disk.path / "spool", BOOT)
    assert f"{disk.path} cannot be used, and victims will wait in memory: [Errno 30] Read-only" in (spool.problem or "")
    came = kill(spool, 2)

    assert [left, came] == list(spool.pending)
    assert left is not None
    assert spool.read(left) is not None
    spool.done(left)
    assert [came] == list(spool.pending)


def test_a_disk_that_is_read_only_from_the_beginning_is_no_error(disk: Disk) -> None:
    """The folder cannot be made either."""
    disk.read_only()
    spool = Spool(disk.path / "state/spool", BOOT)
    name = kill(spool, 1)

    assert (name,) == spool.pending
    assert f"1 victims cannot be written to {disk.path / 'state/spool'}" == (spool.problem or "")
    mount("-o", "remount,rw", str(disk.path))
    spool.retry_held()
    assert (1, None) == (victims(Spool(disk.path / "state/spool", BOOT)), spool.problem)


def test_the_agent_starts_with_a_read_only_state_folder(disk: Disk, tmp_path: Path) -> None:
    """Its status reports the problem, and a signal ends it in order."""
    disk.read_only()
    command = [sys.executable, "-m", "oompolicy_agent", *flags(tmp_path), "--state-dir", str(disk.path)]
    paths = os.pathsep.join(map(str, (AGENT, POLICY)))
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": paths}) as agent:
        assert agent.stderr
        for line in agent.stderr:
            if "running on node node-1" in line:
                agent.send_signal(signal.SIGTERM)
    problems = json.loads((tmp_path / "run-dir/status.json").read_text())["problems"]

    assert 0 == agent.returncode
    assert 1 == sum(f"{disk.path} cannot be used" in each and "Read-only file system" in each for each in problems)
    assert 1 == sum("the checkpoint cannot be written" in each for each in problems)


@pytest.mark.parametrize("content", [b"", b"x y\n", b"\xff", b"1 2 3 4", b"9" * 10_000])
def test_unreadable_losses_are_left_out(tmp_path: Path, content: bytes) -> None:
    """The agent starts without them."""
    (tmp_path / "losses").write_bytes(content)

    assert Losses(tmp_path / "losses").dropped in (0, 3)

# SPDX-License-Identifier: Apache-2.0
"""One loop waits for descriptors and timers, and announcements of cgroups of pods cause a scan."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from oompolicy_agent.kernel.layout import CgroupChange, CgroupRecord
from oompolicy_agent.mapping.announced import PendingCgroups
from oompolicy_agent.plumbing.loop import Loop
from tests.unit.agent.fakes import APP, SYSTEMD, id_of, make, tree_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def loop() -> Iterator[Loop]:
    made = Loop()
    yield made
    made.close()


def test_a_readable_descriptor_calls_back_until_it_is_forgotten(loop: Loop) -> None:
    reader, writer = os.pipe()
    calls: list[bytes] = []
    loop.watch(reader, lambda: calls.append(os.read(reader, 10)))
    os.write(writer, b"x")
    loop.step()
    loop.forget(reader)
    os.write(writer, b"y")
    loop.after(0, "turn", lambda: None)
    loop.step()

    assert [b"x"] == calls
    loop.forget(reader)
    os.close(reader)
    os.close(writer)


def test_a_timer_calls_back_once_at_its_earliest_time(loop: Loop) -> None:
    """A later request for the same timer does not delay it."""
    calls: list[str] = []
    loop.after(60, "a", lambda: calls.append("late"))
    loop.after(0, "a", lambda: calls.append("soon"))
    loop.after(60, "a", lambda: calls.append("later"))
    loop.after(0.001, "b", lambda: calls.append("b"))
    while len(calls) < 2:
        loop.step()
    loop.after(0, "turn", lambda: None)
    loop.step()

    assert ["soon", "b"] == calls


def test_a_timer_may_set_itself_again(loop: Loop) -> None:
    """It may also stop the loop."""
    calls: list[int] = []

    def tick() -> None:
        calls.append(len(calls))
        loop.after(0.001, "tick", tick if len(calls) < 3 else loop.stop)

    tick()
    loop.run()

    assert [0, 1, 2] == calls


def test_a_timer_set_by_a_callback_waits_for_the_next_turn(loop: Loop) -> None:
    """Otherwise the loop would never check its descriptors."""
    calls: list[str] = []
    loop.after(0, "one", lambda: loop.after(0, "two", lambda: calls.append("two")))
    loop.step()
    assert [] == calls
    loop.step()
    assert ["two"] == calls


def announcement(cgroup: int, parent: int, change: CgroupChange = CgroupChange.MKDIR) -> CgroupRecord:
    return CgroupRecord(cgroup_id=cgroup, parent_id=parent, change=change, level=3)


def test_before_the_first_scan_every_announcement_counts() -> None:
    """The new cgroup may be kubepods itself."""
    assert PendingCgroups().receive(announcement(5, 1))


def test_only_cgroups_of_pods_cause_a_scan(tmp_path: Path) -> None:
    """A node starts services and sessions all day."""
    pod, service = make(tmp_path, SYSTEMD, "system.slice")
    announced = PendingCgroups()
    announced.scanned(tree_of(tmp_path), 1)

    assert announced.receive(announcement(1000, pod))
    assert announced.receive(announcement(1001, 1000))
    assert announced.receive(announcement(1000, pod, CgroupChange.RMDIR))
    assert not announced.receive(announcement(1002, service))


def test_cgroups_in_a_container_cause_no_scan(tmp_path: Path) -> None:
    """A container may make any number of cgroups, nested too."""
    container, pod = make(tmp_path, f"{SYSTEMD}/cri-containerd-{APP}.scope", SYSTEMD)
    announced = PendingCgroups()
    announced.scanned(tree_of(tmp_path), 1)
    new = [announced.receive(announcement(each, parent)) for each, parent in [(7, pod), (8, 7), (9, 8), (10, 9)]]

    assert not announced.receive(announcement(1 << 60, container))
    assert not announced.receive(announcement(1 << 60, container, CgroupChange.RMDIR))
    # Until a scan finds a new container, it may be a pod.
    assert [True, True, False, False] == new


def test_the_containers_of_a_new_pod_cause_a_scan(tmp_path: Path) -> None:
    """They are announced before a scan finds their pod."""
    (qos,) = make(tmp_path, SYSTEMD.rpartition("/")[0])
    announced = PendingCgroups()
    announced.scanned(tree_of(tmp_path), 1)

    assert announced.receive(announcement(1000, qos))
    assert announced.receive(announcement(1001, 1000))


def test_a_cgroup_that_is_not_visible_yet_causes_more_scans(tmp_path: Path) -> None:
    """The kernel announces a cgroup before it is visible. The pauses grow, and the number of scans is bounded."""
    (pod,) = make(tmp_path, SYSTEMD)
    announced = PendingCgroups()
    announced.scanned(tree_of(tmp_path), 1)
    announced.receive(announcement(1 << 60, pod))
    waits = [announced.scanned(tree_of(tmp_path), 1) for _ in range(6)]

    assert [2, 4, 8, 16, None, None] == waits


def test_a_visible_cgroup_causes_no_more_scans(tmp_path: Path) -> None:
    """A removed one does not either."""
    (pod,) = make(tmp_path, SYSTEMD)
    announced = PendingCgroups()
    announced.scanned(tree_of(tmp_path), 1)
    container = f"{SYSTEMD}/cri-containerd-{APP}.scope"
    make(tmp_path, container)
    announced.receive(announcement(id_of(tmp_path, container), pod))
    announced.receive(announcement(1 << 60, pod))
    announced.receive(announcement(1 << 60, pod, CgroupChange.RMDIR))

    assert announced.scanned(tree_of(tmp_path), 1) is None

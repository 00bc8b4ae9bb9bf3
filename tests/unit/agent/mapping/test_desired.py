# SPDX-License-Identifier: Apache-2.0
"""Slices, pods and containers have entries, and the map is brought to the desired entries."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oompolicy.model import Assignment, ContainerAssignment, Defaults, QOSClass
from oompolicy.resolve import resolve
from oompolicy_agent.mapping.cgroups import CgroupDir, PodCgroup, SliceCgroup, Tree
from oompolicy_agent.mapping.desired import Desired, Value, desired, diff
from oompolicy_agent.mapping.mapsync import MapSync, Synced
from tests.unit.agent.fakes import APP, PAUSE, STATIC_UID, UID, pod

if TYPE_CHECKING:
    from oompolicy.model import Pod

DEFAULTS = Defaults()
SLICES = (
    SliceCgroup(10, "/kubepods", None),
    SliceCgroup(11, "/kubepods/burstable", QOSClass.BURSTABLE),
    SliceCgroup(12, "/kubepods/besteffort", QOSClass.BEST_EFFORT),
)
SLICE_ENTRIES = {10: (800, 0), 11: (500, 0), 12: (200, 0)}


def tree(uid: str = UID, **containers: int) -> Tree:
    dirs = {{"app": APP, "pause": PAUSE}[name]: CgroupDir(each, "") for name, each in containers.items()}
    return Tree(1, SLICES, {uid: PodCgroup(100, "/pod", QOSClass.BURSTABLE, dirs)})


def assigned(this: Pod, priority: int = 300, app: int = 350) -> Assignment:
    containers = tuple(ContainerAssignment(each.name, each.kind, app, "offset 50") for each in this.containers)
    return Assignment(
        this.uid, this.cgroup_uid, this.namespace, this.name, priority, "policy", "policy", containers=containers
    )


def test_slices_have_the_class_defaults() -> None:
    """kubepods has the default of Guaranteed pods, which are directly below it."""
    assert SLICE_ENTRIES == desired((), (), Tree(1, SLICES), DEFAULTS).entries


def test_pod_and_container_have_their_own_entries() -> None:
    """Each entry has its own memory request."""
    this = pod()
    entries = desired([assigned(this)], [this], tree(app=101), DEFAULTS).entries

    assert {**SLICE_ENTRIES, 100: (300, 2 << 20), 101: (350, 1 << 20)} == entries


def test_unknown_containers_have_no_entry() -> None:
    """The sandbox and containers that have just started get their pod's priority by the walk to the root."""
    this = pod()

    assert 102 not in desired([assigned(this)], [this], tree(app=101, pause=102), DEFAULTS).entries


def test_the_last_run_of_a_container_keeps_its_priority() -> None:
    """Both of its ids are found while both cgroups exist."""
    this = pod(containers={"app": (PAUSE, APP)})
    entries = desired([assigned(this)], [this], tree(app=101, pause=102), DEFAULTS).entries

    assert (350, 350) == (entries[101].priority, entries[102].priority)


def test_static_pods_are_found_by_their_cgroups_uid() -> None:
    """The mirror pod has another uid."""
    this = pod(uid="11111111-2222-3333-4444-555555555555", cgroup_uid=STATIC_UID)

    assert 100 in desired([assigned(this)], [this], tree(STATIC_UID), DEFAULTS).entries


@pytest.mark.parametrize(("phase", "lost"), [("Running", 1), ("Pending", 1), ("Succeeded", 0), ("Failed", 0)])
def test_a_live_pod_without_cgroup_is_not_mapped(phase: str, lost: int) -> None:
    """A finished pod has no cgroup, which is as it should be."""
    this = pod(phase=phase)

    assert lost == len(desired([assigned(this)], [this], Tree(1, SLICES), DEFAULTS).not_mapped)


def test_the_cgroup_of_a_pod_without_object_has_no_entry() -> None:
    """The default of its QoS class applies, from the slice above it."""
    assert SLICE_ENTRIES == desired((), (), tree(app=101), DEFAULTS).entries


def test_pods_come_before_containers() -> None:
    """A full map then lacks only the entries whose absence changes least."""
    this = pod()

    assert [10, 11, 12, 100, 101] == list(desired([assigned(this)], [this], tree(app=101), DEFAULTS).entries)


def test_desired_takes_the_result_of_resolve() -> None:
    """Pod and container have entries with the resolved priority."""
    this = pod()
    entries = desired(resolve((), (), [this]), [this], tree(app=101), DEFAULTS).entries

    assert (500, 500) == (entries[100].priority, entries[101].priority)


ids = st.integers(1, 40)
values = st.builds(Value, st.integers(0, 1000), st.integers(0, 3))
maps = st.dictionaries(ids, values)


class FakeMap:
    """A map with room for `room` entries."""

    def __init__(self, entries: dict[int, Value], room: int = 1000) -> None:
        self.held: dict[int, tuple[int, int]] = dict(entries)
        self.room = room
        self.calls = 0

    def entries(self) -> dict[int, tuple[int, int]]:
        return dict(self.held)

    def put(self, cgroup_id: int, priority: int, memory_request: int) -> None:
        self.calls += 1
        if cgroup_id not in self.held and len(self.held) >= self.room:
            raise OSError(errno.E2BIG, "Argument list too long")
        self.held[cgroup_id] = priority, memory_request

    def delete(self, cgroup_id: int) -> bool:
        self.calls += 1
        return self.held.pop(cgroup_id, None) is not None


@given(maps, maps)
def test_the_map_gets_exactly_the_wanted_entries(current: dict[int, Value], wanted: dict[int, Value]) -> None:
    """This holds for any entries before, and a second call changes nothing."""
    fake, sync = FakeMap(current), MapSync()
    sync.reread(fake)
    done = sync.apply(fake, wanted)
    calls = fake.calls

    assert wanted == fake.held
    assert calls == done.written + done.deleted
    assert Synced(0, 0, 0) == sync.apply(fake, wanted)
    assert calls == fake.calls


@given(maps, maps)
def test_a_diff_has_only_differences(current: dict[int, Value], wanted: dict[int, Value]) -> None:
    """It writes no equal entry and deletes no wanted one."""
    changes = diff(current, wanted)

    assert all(current.get(key) != value for key, value in changes.updates.items())
    assert set(changes.deletes) == set(current) - set(wanted)


@given(maps, maps, st.integers(0, 20))
def test_a_full_map_is_full_of_wanted_entries(current: dict[int, Value], wanted: dict[int, Value], room: int) -> None:
    """The missing ones are counted, and unwanted entries take no room."""
    fake, sync = FakeMap({}, room), MapSync()
    for key, value in list(current.items())[:room]:
        fake.put(key, *value)
    sync.reread(fake)
    done = sync.apply(fake, wanted)

    assert fake.held.items() <= wanted.items()
    assert min(room, len(wanted)) == len(fake.held) == sync.entries
    assert done.missing == len(wanted) - len(fake.held)


def test_without_delete_other_entries_stay() -> None:
    """Until the first valid manifests, the loader's entries are better than none."""
    fake, sync = FakeMap({5: Value(300, 0)}), MapSync()
    sync.reread(fake)
    sync.apply(fake, {6: Value(1, 0)}, delete=False)

    assert {5: (300, 0), 6: (1, 0)} == fake.held


def test_an_entry_that_the_kernel_deleted_is_no_error() -> None:
    """Its cgroup is gone, and the kernel removed the entry first."""
    fake, sync = FakeMap({5: Value(300, 0)}), MapSync()
    sync.reread(fake)
    fake.held.clear()

    assert Synced(0, 1, 0) == sync.apply(fake, {})


def test_a_map_that_cannot_be_written_is_an_error() -> None:
    """Only a full map is no error."""

    class Closed(FakeMap):
        def put(self, *_: int) -> None:
            raise PermissionError(errno.EPERM, "Operation not permitted")

    with pytest.raises(PermissionError):
        MapSync().apply(Closed({}), {1: Value(1, 0)})


def test_the_default_desired_state_is_empty() -> None:
    assert ({}, ()) == (Desired().entries, Desired().not_mapped)

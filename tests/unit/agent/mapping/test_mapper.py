# SPDX-License-Identifier: Apache-2.0
"""The mapper by itself, over a fake tree and fake pins: what it writes, and which callbacks it calls."""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from oompolicy.model import Defaults, Mirror
from oompolicy.resolve import resolve
from oompolicy_agent.kernel.layout import CgroupChange, CgroupRecord
from oompolicy_agent.mapping import pinnedmap, treewatch
from oompolicy_agent.mapping.cgroups import scan
from oompolicy_agent.mapping.mapper import Mapper
from oompolicy_agent.mapping.owners import CgroupOwners
from oompolicy_agent.objects.known import ResolvedPods
from oompolicy_agent.plumbing.loop import Loop
from oompolicy_agent.settings import Settings
from oompolicy_agent.status.problems import Problems
from oompolicy_agent.status.reasons import Reason
from tests.unit.agent.fakenode import CONTAINER, FakeOpenMaps
from tests.unit.agent.fakes import STATIC_UID, SYSTEMD, id_of, make, pod

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from oompolicy.model import Pod

BURSTABLE = "kubepods.slice/kubepods-burstable.slice"
STATIC = f"{BURSTABLE}/kubepods-burstable-pod{STATIC_UID}.slice"


class Mapped:
    """A mapper on a tree in a folder. `calls` has its callbacks in their order."""

    def __init__(self, folder: Path) -> None:
        self.root, self.now = folder / "cgroup", 100.0
        self.known: ResolvedPods | None = None
        self.defaults = Defaults()
        self.state: dict[str, Any] = {"pinned": 1, "map": {}, "error": None, "open": None}
        self.calls: list[str | bytes] = []
        self.problems, self.owners, self.loop = Problems(), CgroupOwners(), Loop(lambda: self.now)
        make(self.root, BURSTABLE)
        self.mapper = Mapper(
            Settings(node="node-1", cgroup_root=self.root, bpffs=folder, strays_after=5.0),
            self.loop,
            self.problems,
            lambda: self.known,
            self.owners,
            defaults=lambda: self.defaults,
            on_victim=self.calls.append,
            on_pins=partial(self.calls.append, "pins"),
            on_cgroups=partial(self.calls.append, "cgroups"),
            on_owners=partial(self.calls.append, "owners"),
            on_update=partial(self.calls.append, "update"),
        )

    def know(self, *pods: Pod) -> None:
        self.known = ResolvedPods(pods, resolve((), (), pods, Defaults()), policy_hash="", objects_json="[]")

    def check(self) -> list[str | bytes]:
        """Do what a full check does. Return the callbacks."""
        self.calls.clear()
        self.mapper.reread()
        self.mapper.rescan()
        return list(self.calls)

    def priorities(self, *paths: str) -> list[int | None]:
        return [self.state["map"].get(id_of(self.root, path), (None,))[0] for path in paths]

    def advance(self, seconds: float) -> None:
        """Run the timers that are due after this time."""
        self.now += seconds
        self.loop.after(0, "test", lambda: None)
        self.loop.step()


@pytest.fixture
def mapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mapped]:
    monkeypatch.setattr(treewatch, "scan", partial(scan, check=lambda _: True))
    monkeypatch.setattr(pinnedmap, "OpenMaps", FakeOpenMaps)
    made = Mapped(tmp_path)
    monkeypatch.setattr(FakeOpenMaps, "state", made.state, raising=False)
    yield made
    made.mapper.pinned.close()
    made.loop.close()


def test_an_update_writes_entries_and_owners(mapped: Mapped) -> None:
    """Slices, the pod and its container get entries, an entry of no cgroup is deleted, and the owner has the name."""
    make(mapped.root, CONTAINER)
    mapped.know(pod())
    mapped.state["map"][77] = 1, 1

    assert ["owners", "update"] == mapped.check()
    assert [800, 500, 500, 500] == mapped.priorities("kubepods.slice", BURSTABLE, SYSTEMD, CONTAINER)
    assert 77 not in mapped.state["map"]
    owner = mapped.owners.get(id_of(mapped.root, CONTAINER))
    assert owner is not None
    assert ("web-0", "app") == (owner.pod, owner.container)


def test_an_update_without_a_change_leaves_the_owners(mapped: Mapped) -> None:
    """The checkpoint is saved only if the owners changed, so `on_owners` is not called."""
    mapped.know(pod())
    mapped.check()

    assert ["update"] == mapped.check()


def test_before_the_first_good_state_nothing_is_deleted(mapped: Mapped) -> None:
    """Without pods and policies, the slices get their entries and all other entries stay."""
    mapped.state["map"][77] = 1, 1
    mapped.check()

    assert (1, 1) == mapped.state["map"][77]
    assert [800, 500] == mapped.priorities("kubepods.slice", BURSTABLE)


def test_before_the_first_scan_an_update_does_nothing(mapped: Mapped) -> None:
    """An unknown tree is not an empty tree, so no entry is deleted and no callback is called."""
    mapped.know(pod())
    mapped.state["map"][77] = 1, 1
    mapped.mapper.reread()
    mapped.mapper.update()

    assert ([], {77: (1, 1)}) == (mapped.calls, mapped.state["map"])


def test_an_unreadable_tree_causes_no_update(mapped: Mapped, monkeypatch: pytest.MonkeyPatch) -> None:
    """The entries stay as they are until the tree can be read again, and the problem has the reason."""
    mapped.know(pod())
    mapped.check()
    before = dict(mapped.state["map"])
    mapped.known = None
    monkeypatch.setattr(treewatch, "scan", scan)

    assert [] == mapped.check()
    assert before == mapped.state["map"]
    assert Reason.CGROUPS_UNREADABLE in mapped.problems.current


def test_an_announced_cgroup_causes_an_update(mapped: Mapped) -> None:
    """`on_cgroups` comes after the update, because a victim of the new cgroup can be named from then on."""
    mapped.know(pod())
    mapped.check()
    mapped.calls.clear()
    (cgroup_id,) = make(mapped.root, SYSTEMD)
    parent_id = id_of(mapped.root, BURSTABLE)
    announced = CgroupRecord(cgroup_id=cgroup_id, parent_id=parent_id, change=CgroupChange.MKDIR, level=3)
    mapped.state["open"].cgroups.put(bytes(announced))
    mapped.mapper.pinned.drain()
    assert [None] == mapped.priorities(SYSTEMD)
    mapped.advance(1.0)

    assert ["owners", "update", "cgroups"] == mapped.calls
    assert [500] == mapped.priorities(SYSTEMD)


def test_a_pod_without_a_cgroup_is_not_mapped(mapped: Mapped, caplog: pytest.LogCaptureFixture) -> None:
    """Each change is logged once. A pod that was deleted meanwhile is not logged as mapped."""
    caplog.set_level(logging.INFO)
    other = pod("web-1", uid="22222222-2222-4222-8222-222222222222")
    mapped.know(pod(), other)
    mapped.check()
    mapped.check()
    assert ("web-0", "web-1") == tuple(each.name for each in mapped.mapper.not_mapped)
    make(mapped.root, SYSTEMD)
    mapped.know(pod())
    mapped.check()

    assert () == mapped.mapper.not_mapped
    assert [
        "pod team-a/web-0 is not mapped: it has no cgroup yet",
        "pod team-a/web-1 is not mapped: it has no cgroup yet",
        "pod team-a/web-0 is mapped",
    ] == [each.message for each in caplog.records if each.message.startswith("pod ")]


def test_pins_that_appear_are_reported(mapped: Mapped) -> None:
    """While pins are missing that is a problem, and `on_pins` is called once they can be opened."""
    mapped.state["pinned"] = 0
    assert ["owners", "update"] == mapped.check()
    assert Reason.PINS_MISSING in mapped.problems.current
    mapped.calls.clear()
    mapped.state["pinned"] = 1
    mapped.advance(1.0)

    assert ["pins"] == mapped.calls
    assert Reason.PINS_MISSING not in mapped.problems.current


def test_the_record_of_a_victim_is_handed_on(mapped: Mapped) -> None:
    """The mapper opens the ring buffer of victims, and does not read the records itself."""
    mapped.check()
    mapped.calls.clear()
    mapped.state["open"].events.put(b"a victim")
    mapped.mapper.pinned.drain()

    assert [b"a victim"] == mapped.calls


def test_a_change_of_the_defaults_changes_the_slices(mapped: Mapped) -> None:
    """A pod that the agent does not know yet has the new default from them."""
    mapped.know()
    mapped.check()
    mapped.defaults = Defaults(guaranteed=700, burstable=600)
    mapped.mapper.update()

    assert [700, 600] == mapped.priorities("kubepods.slice", BURSTABLE)


def test_a_static_pod_without_an_object_has_the_default_of_static_pods(mapped: Mapped) -> None:
    """No mirror pod can exist before etcd and kube-apiserver run. A pod of the API server has its QoS class's default.

    The request to the adjuster has the same entries.
    """
    make(mapped.root, STATIC, CONTAINER)
    mapped.know()
    mapped.check()
    entries = mapped.mapper.entries or {}

    assert [1000, None, None] == mapped.priorities(STATIC, SYSTEMD, CONTAINER)
    assert (1000, 0) == entries[id_of(mapped.root, STATIC)]
    owner = mapped.owners.get(id_of(mapped.root, STATIC))
    assert owner
    assert (1000, "the default for static pods, because the API server has no mirror pod yet") == (
        owner.priority,
        owner.reason,
    )
    mapped.defaults = Defaults(node_critical=900, cluster_critical=900)
    mapped.check()
    assert [900] == mapped.priorities(STATIC)
    assert 900 == getattr(mapped.owners.get(id_of(mapped.root, STATIC)), "priority", None)


def test_a_mirror_pod_gives_the_static_pod_its_own_priority(mapped: Mapped) -> None:
    """It may be lower than the default. A mirror pod that is deleted leaves it."""
    make(mapped.root, STATIC)
    mapped.know()
    mapped.check()
    mirror = pod("etcd", uid="11111111-1111-4111-8111-111111111111", cgroup_uid=STATIC_UID)
    mapped.know(replace(mirror, mirror=Mirror(by_node=True, created="")))
    assert mapped.known
    mapped.known = replace(mapped.known, assignments=(replace(mapped.known.assignments[0], priority=300),))
    mapped.check()
    assert [300] == mapped.priorities(STATIC)
    mapped.know()
    mapped.check()

    assert [300] == mapped.priorities(STATIC), "the last priority of a pod that runs on"


def test_the_loaders_entry_of_a_static_pod_stays_until_the_first_good_state(mapped: Mapped) -> None:
    """A policy for static pods may have given it. Only a static pod without an entry gets the default."""
    (static,) = make(mapped.root, STATIC)
    mapped.state["map"][static] = 300, 0
    mapped.check()
    assert [300] == mapped.priorities(STATIC)
    del mapped.state["map"][static]
    mapped.check()

    assert [1000] == mapped.priorities(STATIC)

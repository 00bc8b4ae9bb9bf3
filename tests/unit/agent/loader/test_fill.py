# SPDX-License-Identifier: Apache-2.0
"""The entries that the loader adds, and the access to the map through bcc or libbpf."""

import ctypes
import errno
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import pytest

from oompolicy.model import Defaults, QOSClass
from oompolicy.oomsettings import Mode
from oompolicy_agent.kernel.layout import Entry, KernelMode
from oompolicy_agent.loader.fill import (
    BCCBatch,
    OneByOne,
    choose_access,
    first_host_priority,
    first_mode,
    load_checkpoint,
    missing_entries,
    wanted_entries,
)
from oompolicy_agent.mapping.cgroups import CgroupDir, PodCgroup, SliceCgroup, Tree
from oompolicy_agent.mapping.desired import Value
from oompolicy_agent.objects.checkpoint import Checkpoint

UID: Final = "0a1b2c3d-0000-4000-8000-000000000001"
CONTAINER: Final = "c" * 64
TREE: Final = Tree(
    root_id=1,
    slices=(SliceCgroup(10, "/kubepods", None), SliceCgroup(11, "/kubepods/burstable", QOSClass.BURSTABLE)),
    pods={UID: PodCgroup(20, "/pod", QOSClass.BURSTABLE, {CONTAINER: CgroupDir(21, "/pod/c")})},
)
POD: Final[dict[str, Any]] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "db", "namespace": "prod", "uid": UID},
    "spec": {"containers": [{"name": "pg", "resources": {"requests": {"memory": "1Mi"}}}]},
    "status": {
        "qosClass": "Burstable",
        "containerStatuses": [{"name": "pg", "containerID": f"containerd://{CONTAINER}"}],
    },
}
POLICY: Final[dict[str, Any]] = {
    "apiVersion": "oompolicy.dev/v1alpha1",
    "kind": "OOMPolicy",
    "metadata": {"name": "databases"},
    "spec": {"priority": {"value": 900}},
}


def test_without_a_checkpoint_the_class_defaults_apply() -> None:
    assert wanted_entries(TREE, None) == {10: Value(800, 0), 11: Value(500, 0)}


def test_a_static_pod_without_an_object_has_the_default_of_static_pods() -> None:
    """Its mirror pod is in no checkpoint before the node's first contact with the API server."""
    cgroup = PodCgroup(30, "/static", QOSClass.BURSTABLE, {CONTAINER: CgroupDir(31, "/static/c")})
    tree = replace(TREE, pods={**TREE.pods, "d41d8cd98f00b204e9800998ecf8427e": cgroup})

    assert {10: Value(800, 0), 11: Value(500, 0), 30: Value(1000, 0)} == wanted_entries(tree, None)
    critical = Defaults(node_critical=900, cluster_critical=900)
    assert Value(900, 0) == wanted_entries(tree, Checkpoint("boot", defaults=critical))[30]


def test_a_checkpoint_of_another_boot_matches_by_uid_and_container_id() -> None:
    entries = wanted_entries(TREE, Checkpoint("another boot", (POLICY, POD)))

    assert {entries[20].priority, entries[21].priority} == {900}
    assert entries[21].memory_request == 1 << 20


def test_a_checkpoint_with_a_field_of_a_newer_definition_is_used() -> None:
    policy = {**POLICY, "spec": {**POLICY["spec"], "newField": "x"}}

    assert wanted_entries(TREE, Checkpoint("boot", (policy, POD)))[20].priority == 900


def test_entries_that_the_agent_wrote_stay() -> None:
    entries = {10: Value(800, 0), 11: Value(500, 0)}

    assert missing_entries(entries, {11: (650, 0), 99: (1, 0)}) == {10: Value(800, 0)}


def test_an_endlessly_nested_checkpoint_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.json"
    path.write_text("[" * 200_000)

    assert load_checkpoint(path) is None


def test_a_checkpoint_that_could_take_all_of_the_loaders_memory_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.json"
    path.write_bytes(b'{"version": 1, "bootId": "boot"}'.ljust((12 << 20) + 1))

    assert load_checkpoint(path) is None


class FakePriorities:
    """A map with a capacity of four entries."""

    fd = 5
    path = Path("/pins/cgroup_priority")

    def info(self) -> SimpleNamespace:
        return SimpleNamespace(max_entries=4)


Keys = ctypes.Array[ctypes.c_uint64]
Values = ctypes.Array[Entry]


class FakeLib:
    """A libbcc that works on a dictionary."""

    def __init__(self) -> None:
        self.held: dict[int, tuple[int, int]] = {}

    def bpf_update_batch(self, _fd: int, keys: Keys, values: Values, count: Any) -> int:  # noqa: ANN401 (byref has no type)
        for i in range(count._obj.value):
            self.held[keys[i]] = values[i].priority, values[i].memory_request
        return 0

    def bpf_lookup_batch(self, _fd: int, *places_and_room: Any) -> int:  # noqa: ANN401 (byref has no type)
        _from, _to, keys, values, count = places_and_room
        for i, (key, (priority, request)) in enumerate(self.held.items()):
            keys[i], values[i] = key, Entry(priority=priority, memory_request=request)
        count._obj.value = len(self.held)
        ctypes.set_errno(errno.ENOENT)
        return -errno.ENOENT


def test_bcc_reads_the_entries_that_it_wrote() -> None:
    access, priorities = BCCBatch(FakeLib()), FakePriorities()

    access.write(priorities, {7: Value(900, 1), 2**63: Value(0, 2)})  # type: ignore[arg-type]

    assert access.read(priorities) == {7: (900, 1), 2**63: (0, 2)}  # type: ignore[arg-type]


def test_without_bcc_the_map_is_filled_through_libbpf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bcc", None)

    assert isinstance(choose_access(), OneByOne)


def test_a_node_begins_with_the_mode_of_its_checkpoint() -> None:
    """A node that booted without an API server must not enforce if it was stopped before."""
    assert KernelMode.OFF == first_mode(Checkpoint("boot", mode=Mode.OFF), Mode.ENFORCE)
    assert KernelMode.AUDIT == first_mode(Checkpoint("boot"), Mode.AUDIT)
    assert KernelMode.AUDIT == first_mode(None, Mode.AUDIT)


def test_a_node_begins_with_the_hosts_priority_of_its_checkpoint() -> None:
    assert 0 == first_host_priority(Checkpoint("boot", host_priority=0))
    assert 1000 == first_host_priority(Checkpoint("boot")) == first_host_priority(None)


def test_a_node_begins_with_the_defaults_of_its_checkpoint() -> None:
    """The slices and the pods without a policy have them until the agent runs."""
    entries = wanted_entries(TREE, Checkpoint("another boot", (POD,), defaults=Defaults(3, 2, 1)))

    assert {10: Value(3, 0), 11: Value(2, 0), 20: Value(2, 1 << 20), 21: Value(2, 1 << 20)} == entries

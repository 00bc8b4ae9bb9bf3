# SPDX-License-Identifier: Apache-2.0
"""The agent as a whole, over a fake tree and fake pins: what it does when something happens."""

from __future__ import annotations

import json
import os
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from oompolicy_agent import kernel as kernel_module
from oompolicy_agent import treewatch
from oompolicy_agent.agent import Agent
from oompolicy_agent.cgroups import scan
from oompolicy_agent.layout import CgroupChange, CgroupRecord, Stat
from oompolicy_agent.loop import Loop
from oompolicy_agent.metrics import Metrics
from oompolicy_agent.outside import Folder
from oompolicy_agent.problems import Problems
from oompolicy_agent.settings import Settings
from oompolicy_agent.tally import Tally
from tests.unit.agent.fakes import APP, BOOT, SYSTEMD, UID, id_of, ids_along, make, raw_pod, raw_policy, record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CONTAINER = f"{SYSTEMD}/cri-containerd-{APP}.scope"


class FakeRing:
    """Records wait in it until they are consumed; its descriptor is readable meanwhile."""

    def __init__(self, on_record: Callable[[bytes], None]) -> None:
        self.on_record, self.waiting = on_record, list[bytes]()
        self.epoll_fd, self._writer = os.pipe()

    def put(self, raw: bytes) -> None:
        self.waiting.append(raw)
        os.write(self._writer, b"x")

    def consume(self) -> None:
        while self.waiting:
            os.read(self.epoll_fd, 1)
            self.on_record(self.waiting.pop(0))

    def close(self) -> None:
        os.close(self.epoll_fd)
        os.close(self._writer)


class FakePins:
    """What `pins.Pins` is, with the map as a dict. `state` is what the loader has done."""

    state: dict[str, Any]

    def __init__(self, folder: Path, on_victim: Callable[[bytes], None], on_cgroup: Callable[[bytes], None]) -> None:
        if not self.state["pinned"]:
            raise FileNotFoundError(2, "No such file or directory", str(folder / "cgroup_priority"))
        self.generation = self.state["pinned"]
        self.events, self.cgroups = FakeRing(on_victim), FakeRing(on_cgroup)
        self.priorities = self
        self.state["open"] = self

    @property
    def replaced(self) -> bool:
        return bool(self.generation != self.state["pinned"])

    def entries(self) -> dict[int, tuple[int, int]]:
        return dict(self.state["map"])

    def put(self, cgroup_id: int, priority: int, memory_request: int) -> None:
        if self.state["error"]:
            raise self.state["error"]
        self.state["map"][cgroup_id] = priority, memory_request

    def delete(self, cgroup_id: int) -> bool:
        return self.state["map"].pop(cgroup_id, None) is not None

    def counters(self) -> dict[Stat, int]:
        return {Stat.VICTIMS: 1}

    def close(self) -> None:
        self.events.close()
        self.cgroups.close()
        self.state["open"] = None


class Node:
    """A node's folders, and an agent on it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder, folder / "cgroup"
        self.state: dict[str, Any] = {"pinned": 1, "map": {}, "error": None, "open": None}
        for name in ("manifests", "run", "bpffs/links/abc", "cgroup"):
            (folder / name).mkdir(parents=True)
        (folder / "bpffs/links/abc/evaluate_task").touch()
        self.report(attached=True)
        make(self.root, "kubepods.slice/kubepods-burstable.slice", "kubepods.slice/kubepods-besteffort.slice")
        self.settings = Settings(
            manifests=folder / "manifests",
            node="node-1",
            output=str(folder / "events.json"),
            output_format="json",
            state_dir=folder / "state",
            run_dir=folder / "run",
            bpffs=folder / "bpffs",
            cgroup_root=self.root,
            naming_grace=0.2,
            tick=0.01,
            settle=0.01,
            checkpoint_delay=0.01,
            status_delay=0.01,
        )
        self.boot()

    def boot(self) -> None:
        self.loop = Loop()
        problems, tally = Problems(), Tally()
        outside = Folder(self.folder / "manifests", self.settings, problems)
        self.agent = Agent(self.settings, self.loop, BOOT, outside, problems=problems, tally=tally)

    def restart(self) -> None:
        self.agent.stop()
        self.loop.close()
        self.boot()
        self.agent.start()

    def report(self, **changes: object) -> None:
        found = {"backend": "EvaluateTask", "hook": "Kernel", "object": "abc", "bootId": BOOT, **changes}
        (self.folder / "run/loader.json").write_text(json.dumps(found))

    def put(self, name: str, raw: dict[str, Any]) -> None:
        (self.folder / "manifests" / name).write_text(json.dumps(raw))

    def make(self, path: str) -> int:
        """A cgroup, announced as the kernel does it."""
        (cgroup_id,) = make(self.root, path)
        self.announce(cgroup_id, path.rpartition("/")[0])
        return cgroup_id

    def announce(self, cgroup_id: int, parent: str, change: CgroupChange = CgroupChange.MKDIR) -> None:
        announced = CgroupRecord(cgroup_id=cgroup_id, parent_id=id_of(self.root, parent), change=change, level=3)
        self.state["open"].cgroups.put(bytes(announced))

    def kill(self, path: str, **fields: Any) -> None:  # noqa: ANN401
        self.state["open"].events.put(bytes(record(path, ids_along(self.root, path), **fields)))

    def until(self, condition: Callable[[], object]) -> None:
        """Turn the loop until it is so; what never becomes so is stopped by the count."""
        for _ in range(500):
            if condition():
                return
            self.loop.after(0.01, "test", lambda: None)
            self.loop.step()
        raise AssertionError("it never became so")

    @property
    def status(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "run/status.json").read_text())
        return found

    @property
    def ready(self) -> bool:
        return bool(self.status["conditions"][0]["status"] == "True")

    @property
    def events(self) -> list[dict[str, Any]]:
        path = self.folder / "events.json"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def priority(self, path: str) -> int | None:
        found = self.state["map"].get(id_of(self.root, path))
        return found[0] if found else None


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Node]:
    monkeypatch.setattr(treewatch, "scan", partial(scan, check=lambda _: True))
    monkeypatch.setattr(kernel_module, "Pins", FakePins)
    made = Node(tmp_path)
    FakePins.state = made.state
    yield made
    made.agent.stop()
    made.loop.close()


def test_the_map_is_right_after_the_start(node: Node) -> None:
    """Slices, pods and containers; what does not belong there is gone; the node is ready."""
    make(node.root, CONTAINER)
    node.put("pod.json", raw_pod())
    node.put("policy.json", raw_policy(value=300))
    node.state["map"][77] = 1, 1
    node.agent.start()
    paths = ("kubepods.slice", "kubepods.slice/kubepods-burstable.slice", SYSTEMD, CONTAINER)

    assert [800, 500, 300, 300] == [node.priority(path) for path in paths]
    assert 77 not in node.state["map"]
    assert node.ready


def test_a_new_pod_is_mapped_as_soon_as_its_cgroup_appears(node: Node) -> None:
    """Until then it is reported as not mapped."""
    node.put("pod.json", raw_pod())
    node.agent.start()
    assert ["web-0"] == [each["name"] for each in node.status["notMapped"]]
    assert node.ready
    node.make(SYSTEMD)
    node.until(lambda: node.priority(SYSTEMD) == 500)
    node.until(lambda: not node.status["notMapped"])
    node.make(CONTAINER)
    node.until(lambda: node.priority(CONTAINER) == 500)


def test_a_changed_policy_reaches_the_map(node: Node) -> None:
    """Without a restart; and it goes when the policy goes."""
    make(node.root, SYSTEMD)
    node.put("pod.json", raw_pod())
    node.agent.start()
    node.put("policy.json", raw_policy(value=300))
    node.until(lambda: node.priority(SYSTEMD) == 300)
    (node.folder / "manifests/policy.json").unlink()
    node.until(lambda: node.priority(SYSTEMD) == 500)


def test_bad_manifests_leave_the_map_alone(node: Node) -> None:
    """The node is not ready until they are right."""
    make(node.root, SYSTEMD)
    node.put("pod.json", raw_pod())
    node.put("policy.json", raw_policy(value=300))
    node.agent.start()
    node.put("policy.json", raw_policy(value=3000))
    node.until(lambda: not node.ready)
    assert 300 == node.priority(SYSTEMD)
    assert "OOMPolicy/web: spec.priority.value" in node.status["problems"][0]
    node.put("policy.json", raw_policy(value=400))
    node.until(lambda: node.ready)
    assert 400 == node.priority(SYSTEMD)


def test_before_any_good_manifests_nothing_is_deleted(node: Node) -> None:
    """The loader's entries are better than none; the slices get theirs."""
    node.put("policy.json", raw_policy(value=3000))
    node.state["map"][77] = 1, 1
    node.agent.start()

    assert (1, 1) == node.state["map"][77]
    assert 800 == node.priority("kubepods.slice")


def test_a_victim_is_reported(node: Node) -> None:
    """From the ring buffer to the output, with nothing left in the spool."""
    make(node.root, CONTAINER)
    node.put("pod.json", raw_pod())
    node.agent.start()
    node.kill(CONTAINER)
    node.until(lambda: node.events)

    assert ["spec.containers{app}"] == [each["regarding"]["fieldPath"] for each in node.events]
    assert [] == list((node.folder / "state/spool").iterdir())
    node.until(lambda: node.status["lastVictims"])


def test_a_victim_is_named_after_pod_and_cgroup_are_gone(node: Node) -> None:
    """Also by an agent that was restarted in between."""
    make(node.root, CONTAINER)
    node.put("pod.json", raw_pod())
    node.agent.start()
    killed = bytes(record(CONTAINER, ids_along(node.root, CONTAINER)))
    for path in (CONTAINER, SYSTEMD):
        (node.root / path).rmdir()
    (node.folder / "manifests/pod.json").unlink()
    node.restart()
    node.state["open"].events.put(killed)
    node.until(lambda: node.events)

    assert [("web-0", UID)] == [(each["regarding"]["name"], each["regarding"]["uid"]) for each in node.events]


def test_a_crash_forgets_no_names(node: Node) -> None:
    """What is in the map is in the checkpoint, without an orderly end; pod and cgroup go while nobody looks."""
    make(node.root, CONTAINER)
    node.put("pod.json", raw_pod())
    node.agent.start()
    killed = bytes(record(CONTAINER, ids_along(node.root, CONTAINER)))
    (node.folder / "manifests/pod.json").unlink()
    for path in (CONTAINER, SYSTEMD):
        (node.root / path).rmdir()
    saved = (node.folder / "state/checkpoint.json").read_bytes()
    node.agent.stop()
    (node.folder / "state/checkpoint.json").write_bytes(saved)
    node.loop.close()
    node.boot()
    node.agent.start()
    node.state["open"].events.put(killed)
    node.until(lambda: node.events)

    assert ["web-0"] == [each["regarding"]["name"] for each in node.events]


def test_a_pod_that_came_and_went_is_named(node: Node) -> None:
    """No scan ever saw its cgroup; its object is gone when the victim is."""
    make(node.root, CONTAINER)
    killed = bytes(record(CONTAINER, ids_along(node.root, CONTAINER)))
    for path in (CONTAINER, SYSTEMD):
        (node.root / path).rmdir()
    node.agent.start()
    node.put("pod.json", raw_pod())
    node.until(lambda: node.status["counts"]["pods"] == 1)
    (node.folder / "manifests/pod.json").unlink()
    node.until(lambda: node.status["counts"]["pods"] == 0)
    node.state["open"].events.put(killed)
    node.until(lambda: node.events)

    assert ["spec.containers{app}"] == [each["regarding"]["fieldPath"] for each in node.events]


def test_a_victim_delivered_again_after_a_restart_is_reported_once(node: Node) -> None:
    """The checkpoint knows what was reported."""
    node.agent.start()
    for _ in range(2):
        node.kill("kubepods.slice")
        node.kill("kubepods.slice")
        node.until(lambda: node.events)
        node.restart()

    assert 1 == len(node.events)


def test_the_metrics_tell_of_it_all(node: Node) -> None:
    """Without an API server too: what the map holds, who was killed, how long a change took."""
    make(node.root, CONTAINER)
    node.put("pod.json", raw_pod())
    node.agent.start()
    node.put("policy.json", raw_policy(value=300))
    node.until(lambda: node.priority(SYSTEMD) == 300)
    node.kill(CONTAINER)
    node.until(lambda: node.status["lastVictims"])
    text = Metrics(node.agent.tally, lambda: node.agent.view, node.agent.followed).text().decode()

    for line in (
        "oompolicy_agent_map_entries 5.0",
        "oompolicy_agent_ready 1.0",
        'oompolicy_agent_victims_total{qos_class="Burstable",scope="Node"} 1.0',
        "oompolicy_agent_change_seconds_count 1.0",
    ):
        assert f"{line}\n" in text


def test_an_unusable_record_stops_nothing(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    """It is said, and the next one is reported."""
    node.agent.start()
    node.state["open"].events.put(b"short")
    node.kill("kubepods.slice")
    node.until(lambda: node.events)

    assert "a record cannot be used: a victim's record has 5 bytes, expected 1456" in caplog.text


def test_missing_pins_are_waited_for(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    """Said once, not ready meanwhile; filled as soon as they are there."""
    node.state["pinned"] = 0
    node.agent.start()
    for _ in range(5):
        node.loop.step()
    assert not node.ready
    assert 1 == caplog.text.count("the loader's pins are not there")
    node.state["pinned"] = 1
    node.until(lambda: node.ready)
    assert 800 == node.priority("kubepods.slice")


def test_replaced_pins_are_opened_anew(node: Node) -> None:
    """The loader's report tells; what the old ring still held is not lost."""
    node.agent.start()
    node.kill("kubepods.slice")
    node.state.update(pinned=2, map={})
    node.report(attached=True)
    node.until(lambda: node.priority("kubepods.slice") == 800)

    assert 2 == node.state["open"].generation
    node.until(lambda: node.events)


def test_a_detached_node_is_not_ready(node: Node) -> None:
    """The loader's report goes, and the pins with it."""
    node.agent.start()
    node.state["pinned"] = 0
    (node.folder / "run/loader.json").unlink()
    node.until(lambda: not node.ready)

    assert {"NotAttached", "PinsMissing"} == {each["reason"] for each in node.status["conditions"]}


def test_a_map_that_cannot_be_written_is_not_ready(node: Node) -> None:
    """And is tried again at the next occasion."""
    node.state["error"] = PermissionError(1, "Operation not permitted")
    node.agent.start()
    assert "the map cannot be written: [Errno 1] Operation not permitted" in node.status["problems"]
    assert not node.ready
    node.state["error"] = None
    node.agent.full_check()
    assert node.ready


def test_a_full_map_is_said(node: Node) -> None:
    """The agent goes on with what there is room for."""
    node.state["error"] = OSError(7, "Argument list too long")
    node.agent.start()

    assert 3 == node.status["counts"]["mapEntriesMissing"]
    assert "MapFull" == node.status["conditions"][2]["reason"]


def test_the_full_check_repairs_what_no_event_told(node: Node) -> None:
    """An entry deleted by somebody, a pod whose announcement was dropped, a manifest changed unseen."""
    node.put("pod.json", raw_pod())
    node.agent.start()
    node.state["map"].clear()
    make(node.root, SYSTEMD)
    node.agent.full_check()

    assert [800, 500] == [node.priority(path) for path in ("kubepods.slice", SYSTEMD)]


def test_an_unreadable_tree_deletes_nothing(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """No tree is not an empty tree."""
    node.agent.start()
    before = dict(node.state["map"])
    monkeypatch.setattr(treewatch, "scan", scan)
    node.agent.full_check()

    assert before == node.state["map"]
    assert "is not a cgroup v2 mount" in node.status["problems"][0]
    assert not node.ready


def test_a_state_that_cannot_be_saved_is_said(node: Node) -> None:
    """Enforcement goes on."""
    node.agent.start()
    (node.folder / "state/checkpoint.json").unlink()
    (node.folder / "state/checkpoint.json").mkdir()
    node.put("pod.json", raw_pod())
    node.until(lambda: any("the checkpoint cannot be written" in each for each in node.status["problems"]))
    assert node.ready


def test_the_checkpoint_is_enforced_where_manifests_are_not_there(node: Node) -> None:
    """A node that boots without them has what it last knew."""
    make(node.root, SYSTEMD)
    node.put("pod.json", raw_pod())
    node.put("policy.json", raw_policy(value=300))
    node.agent.start()
    (node.folder / "manifests").rename(node.folder / "elsewhere")
    node.state["map"].clear()
    node.restart()

    assert 300 == node.priority(SYSTEMD)
    assert not node.ready

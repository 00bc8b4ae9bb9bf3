# SPDX-License-Identifier: Apache-2.0
"""A node with a fake cgroup tree and fake pins, and a real agent on it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any, Self

from oompolicy_agent.agent import Agent
from oompolicy_agent.environment import FolderEnvironment
from oompolicy_agent.kernel.layout import CgroupChange, CgroupRecord, Stat
from oompolicy_agent.plumbing.loop import Loop
from oompolicy_agent.settings import Settings
from oompolicy_agent.status.counters import Counters
from oompolicy_agent.status.problems import Problems
from tests.unit.agent.fakes import APP, BOOT, SYSTEMD, id_of, ids_along, make, record

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONTAINER = f"{SYSTEMD}/cri-containerd-{APP}.scope"


class FakeRing:
    """A ring buffer whose records wait until they are consumed. Until then its descriptor is readable."""

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


class FakeOpenMaps:
    """A fake of `pins.OpenMaps` with a dict as its map. `state` has the state that the loader left."""

    state: dict[str, Any]

    def __init__(self, folder: Path, on_victim: Callable[[bytes], None], on_cgroup: Callable[[bytes], None]) -> None:
        if not self.state["pinned"]:
            raise FileNotFoundError(2, "No such file or directory", str(folder / "cgroup_priority"))
        self.generation = self.state["pinned"]
        self.events, self.cgroups = FakeRing(on_victim), FakeRing(on_cgroup)
        self.priorities = self
        self.settings = self
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

    @property
    def has_modes(self) -> bool:
        return "mode" in self.state

    def mode(self) -> int:
        return int(self.state["mode"])

    def host_priority(self) -> int:
        return int(self.state["host_priority"])

    def change(self, **fields: int) -> bool:
        if self.state["error"]:
            raise self.state["error"]
        wanted = {name: value for name, value in fields.items() if name in ("mode", "host_priority")}
        before = {name: self.state[name] for name in wanted}
        self.state |= wanted
        return before != wanted

    def close(self) -> None:
        self.events.close()
        self.cgroups.close()
        self.state["open"] = None


class FakePriorityMap:
    """A fake of `maps.PriorityMap`, the pin that any thread may open."""

    def __init__(self, path: Path) -> None:
        if not FakeOpenMaps.state["pinned"]:
            raise FileNotFoundError(2, "No such file or directory", str(path))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def entries(self) -> dict[int, tuple[int, int]]:
        return dict(FakeOpenMaps.state["map"])


class Node:
    """The folders of a node, and an agent on it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder, folder / "cgroup"
        self.state: dict[str, Any] = {"pinned": 1, "map": {}, "error": None, "open": None, "mode": 2}
        self.state["host_priority"] = 1000
        for name in ("manifests", "run", "bpffs/links/abc", "cgroup", "adjuster"):
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
            adjuster_dir=folder / "adjuster",
            adjuster_poll=0.01,
            naming_grace=0.2,
            tick=0.01,
            strays_after=0.05,
            settle=0.01,
            checkpoint_delay=0.01,
            status_delay=0.01,
        )
        self.boot()

    def boot(self) -> None:
        self.loop = Loop()
        problems, counters = Problems(), Counters()
        outside = FolderEnvironment(self.folder / "manifests", self.settings, problems)
        self.agent = Agent(self.settings, self.loop, BOOT, outside, problems=problems, counters=counters)

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
        """Make a cgroup, and announce it as the kernel does."""
        (cgroup_id,) = make(self.root, path)
        self.announce(cgroup_id, path.rpartition("/")[0])
        return cgroup_id

    def announce(self, cgroup_id: int, parent: str, change: CgroupChange = CgroupChange.MKDIR) -> None:
        announced = CgroupRecord(cgroup_id=cgroup_id, parent_id=id_of(self.root, parent), change=change, level=3)
        self.state["open"].cgroups.put(bytes(announced))

    def kill(self, path: str, **fields: Any) -> None:  # noqa: ANN401
        self.state["open"].events.put(bytes(record(path, ids_along(self.root, path), **fields)))

    def until(self, condition: Callable[[], object]) -> None:
        """Turn the loop until the condition holds, at most 500 times."""
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

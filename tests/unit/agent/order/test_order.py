# SPDX-License-Identifier: Apache-2.0
"""The agent serves the facts about all containers of its node, with their memory at the time of the request."""

from __future__ import annotations

import errno
import json
import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING

from oompolicy.order.facts import PATH, SOCKET, NodeFacts, parse
from oompolicy_agent.order import collect as module
from oompolicy_agent.order.collect import collect
from oompolicy_agent.order.page import page_of, serve_order
from oompolicy_agent.order.usage import Usage, dies_as_a_whole, usage_of
from tests.unit.agent.fakenode import CONTAINER
from tests.unit.agent.fakes import PAUSE, SYSTEMD, id_of, make, raw_pod, raw_policy

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.unit.agent.fakenode import Node

MIB = 1 << 20


def fill(cgroup: Path, mib: int, *, populated: int = 1, swap: int | None = None) -> None:
    """Write the files of a cgroup that the agent reads. A third of the memory is page cache."""
    cgroup.mkdir(parents=True, exist_ok=True)
    (cgroup / "cgroup.events").write_text(f"populated {populated}\nfrozen 0\n")
    lines = {"anon": 2 * mib * MIB, "file": 3 * mib * MIB, "shmem": mib * MIB, "pgfault": 12}
    (cgroup / "memory.stat").write_text("".join(f"{name} {value}\n" for name, value in lines.items()))
    (cgroup / "memory.current").write_text(f"{6 * mib * MIB}\n")
    if swap is not None:
        (cgroup / "memory.swap.current").write_text(f"{swap * MIB}\n")


def facts(node: Node) -> NodeFacts:
    state = node.agent.order_state
    assert state
    return collect(state)


def test_memory_is_the_part_that_a_kill_frees(tmp_path: Path) -> None:
    """The page cache is reclaimed before an OOM, and shared memory and swap are not."""
    fill(tmp_path, 2, swap=5)

    assert Usage(freed=(6 + 5) * MIB, charged=12 * MIB) == usage_of(tmp_path)


def test_a_cgroup_without_processes_is_left_out(tmp_path: Path) -> None:
    """So is a cgroup that vanishes while it is read. A kernel without swap accounting has no file of swap."""
    fill(tmp_path / "ended", 2, populated=0)
    fill(tmp_path / "vanishing", 2)
    (tmp_path / "vanishing/memory.stat").unlink()
    fill(tmp_path / "without-swap", 2)

    found = [usage_of(tmp_path / name) for name in ("ended", "vanishing", "missing", "without-swap")]
    assert [None, None, None, Usage(6 * MIB, 12 * MIB)] == found


def test_a_cgroup_dies_as_a_whole_with_oom_group(tmp_path: Path) -> None:
    """A cgroup that is gone has no processes that could die together."""
    for value in "01":
        (tmp_path / value).mkdir()
        (tmp_path / value / "memory.oom.group").write_text(f"{value}\n")

    assert [False, True, False] == [dies_as_a_whole(tmp_path / name) for name in ("0", "1", "gone")]


def test_the_memory_of_the_pod_is_known_if_the_pod_dies_as_a_whole(node: Node) -> None:
    fill(node.root / CONTAINER, 10)
    fill(node.root / SYSTEMD, 15)
    node.put("pod.json", raw_pod())
    node.agent.start()

    def of_the_pod() -> list[int | None]:
        return [each.pod_usage for each in facts(node).containers]

    assert [None] == of_the_pod()
    (node.root / SYSTEMD / "memory.oom.group").write_text("1\n")
    assert [90 * MIB] == of_the_pod()


def test_each_container_has_its_priority_and_source(node: Node) -> None:
    """The sandbox has no name, and is not among them."""
    fill(node.root / CONTAINER, 10)
    fill(node.root / f"{SYSTEMD}/cri-containerd-{PAUSE}.scope", 1)
    node.put("pod.json", raw_pod())
    node.put("policy.json", raw_policy(value=300))
    node.agent.start()
    found = facts(node)

    (only,) = found.containers
    assert ("team-a", "web-0", "app", 300, "policy", "web") == (
        *(only.namespace, only.pod, only.container, only.priority, only.source, only.policy),
    )
    assert (30 * MIB, 60 * MIB, 999) == (only.memory, only.usage, only.score)
    assert ("node-1", "Enforce", "EvaluateTask", True, 0) == (
        *(found.node, found.mode, found.backend, found.enforcing, found.unlisted),
    )
    assert found.totals["node"] > 0


def test_each_container_has_the_entry_that_the_map_holds_now(node: Node) -> None:
    """The map is read anew. Without an entry of its own, a container has that of its pod, and then of the QoS class."""
    fill(node.root / CONTAINER, 10)
    node.put("pod.json", raw_pod())
    node.put("policy.json", raw_policy(value=300))
    node.agent.start()

    def held() -> list[tuple[int, int | None]]:
        assert "Entries" == facts(node).holding
        return [(each.priority, each.held) for each in facts(node).containers]

    container, pod = id_of(node.root, CONTAINER), id_of(node.root, SYSTEMD)
    assert [(300, 300)] == held()
    node.state["map"][container] = 700, 0
    assert [(300, 700)] == held()
    del node.state["map"][container]
    node.state["map"][pod] = 650, 0
    assert [(300, 650)] == held()
    del node.state["map"][pod]
    assert [(300, 500)] == held()
    node.state["map"].clear()
    assert [(300, None)] == held()


def test_a_map_that_cannot_be_read_is_a_sentence(node: Node) -> None:
    """The order is answered all the same."""
    fill(node.root / CONTAINER, 10)
    node.put("pod.json", raw_pod())
    node.agent.start()
    node.state["pinned"] = 0
    found = facts(node)

    assert (None, True) == (found.holding, found.held_problem.startswith("the loader's pins are not there: "))
    assert [("app", None)] == [(each.container, each.held) for each in found.containers]


def test_a_container_that_is_not_reported_yet_is_its_pod(node: Node) -> None:
    """It has the priority of the pod, as in the kernel, and the memory of the pod's cgroup."""
    fill(node.root / SYSTEMD, 12)
    fill(node.root / CONTAINER, 10)
    raw = raw_pod()
    raw["metadata"]["annotations"] = {"oompolicy.dev/priority": "250"}
    del raw["status"]["containerStatuses"]
    node.put("pod.json", raw)
    policy = raw_policy(value=300)
    policy["spec"]["override"] = {"min": 100, "max": 300}
    node.put("policy.json", policy)
    node.agent.start()

    (only,) = facts(node).containers
    assert (None, 250, "annotation", 36 * MIB) == (only.container, only.priority, only.source, only.memory)


def test_a_pod_without_an_object_is_counted(node: Node) -> None:
    """A pod that is not in the cluster's objects cannot be named."""
    fill(node.root / SYSTEMD, 12)
    fill(node.root / CONTAINER, 10)
    node.agent.start()

    assert ((), 1) == (facts(node).containers, facts(node).unlisted)


def test_a_pod_whose_object_is_gone_keeps_its_priority(node: Node) -> None:
    """Its processes run on after it was deleted by force. The kubelet's score is then not known."""
    fill(node.root / SYSTEMD, 12)
    fill(node.root / CONTAINER, 10)
    node.put("pod.json", raw_pod())
    node.put("policy.json", raw_policy(value=300))
    node.agent.start()
    (node.folder / "manifests/pod.json").unlink()
    node.until(lambda: not node.status["counts"]["pods"])

    (only,) = facts(node).containers
    assert ("web-0", "app", 300, None) == (only.pod, only.container, only.priority, only.score)


def test_the_limit_of_a_pod_is_a_scope(node: Node) -> None:
    fill(node.root / SYSTEMD, 12)
    (node.root / SYSTEMD / "memory.max").write_text(f"{64 * MIB}\n")
    (node.root / SYSTEMD / "memory.swap.max").write_text("0\n")
    node.put("pod.json", raw_pod())
    node.agent.start()

    assert 64 * MIB == facts(node).totals["pod/team-a/web-0"]


def test_an_answer_that_cannot_be_made_is_a_sentence(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """The status of the answer says that it is no order."""
    early = page_of(lambda: None)()
    assert (503, True) == (early.status, early.body.startswith(b"the agent has not read the cgroup tree yet"))
    make(node.root, CONTAINER)
    node.put("pod.json", raw_pod())
    node.agent.start()

    def refused(_: Path) -> Usage:
        raise PermissionError(errno.EACCES, "Permission denied", "/sys/fs/cgroup/x")

    monkeypatch.setattr(module, "usage_of", refused)
    answer = page_of(lambda: node.agent.order_state)()
    assert (503, True) == (answer.status, answer.body.startswith(b"the memory of the containers cannot be read: "))


def test_the_socket_is_for_this_user_alone(node: Node) -> None:
    """The socket of an earlier agent is replaced. Its answer is that of the page."""
    fill(node.root / CONTAINER, 10)
    node.put("pod.json", raw_pod())
    node.agent.start()
    path = node.folder / "run" / SOCKET
    path.touch()
    with ExitStack() as stack:
        serve_order(lambda: node.agent.order_state, path.parent, stack, loopback=False)
        mode = path.stat().st_mode & 0o777
        client = stack.enter_context(socket.socket(socket.AF_UNIX))
        client.connect(str(path))
        client.sendall(f"GET {PATH} HTTP/1.1\r\n\r\n".encode())
        answer = client.makefile("rb").read()

    head, _, body = answer.partition(b"\r\n\r\n")
    assert (0o600, True) == (mode, head.startswith(b"HTTP/1.1 200 OK\r\n"))
    assert [("web-0", "app")] == [(each.pod, each.container) for each in parse(json.loads(body)).containers]

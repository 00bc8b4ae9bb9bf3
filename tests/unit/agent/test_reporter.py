# SPDX-License-Identifier: Apache-2.0
"""What is spooled is named, written, and only then forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from oompolicy.model import Defaults
from oompolicy.resolve import resolve
from oompolicy_agent import reporter as module
from oompolicy_agent.index import Index, Owners
from oompolicy_agent.outputtarget import OutputTarget
from oompolicy_agent.reporter import Reporter
from oompolicy_agent.settings import Settings
from oompolicy_agent.spool import Spool
from oompolicy_agent.tally import Tally
from oompolicy_agent.target import Settled
from tests.unit.agent.fakes import APP, BOOT, SYSTEMD, ids_along, make, pod, record, tree_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from oompolicy.model import Pod
    from oompolicy_agent.cgroups import Tree

CONTAINER = f"{SYSTEMD}/cri-containerd-{APP}.scope"


class Node:
    """A reporter over a fake tree, with an output that can be made to fail."""

    def __init__(self, folder: Path, boot_id: str = BOOT) -> None:
        self.root, self.boot_id = folder / "cgroup", boot_id
        make(self.root, f"{CONTAINER}/nested", "system.slice")
        self.written: list[Mapping[str, Any]] = []
        self.error: OSError | None = None
        self.index = Index()
        self.spool = Spool(folder / "spool", boot_id)
        settings = Settings(manifests=folder, node="node-1", naming_grace=5.0, retry_max=4.0)
        self.before = b""
        self.settings = settings
        self.boot()

    def boot(self) -> None:
        self.target = OutputTarget(self, self.settings.retry_max)
        self.tally = Tally()
        self.reporter = Reporter(self.settings, self.boot_id, self.spool, self.index, self.target, tally=self.tally)

    def last(self) -> bytes:
        return self.before

    @property
    def tree(self) -> Tree:
        return tree_of(self.root)

    def know(self, *pods: Pod) -> None:
        self.index.update(Owners().of(self.tree, pods, resolve((), (), pods), Defaults()), now=0)

    def kill(self, path: str = CONTAINER, tgid: int = 1, now: float = 0.0, **fields: Any) -> None:  # noqa: ANN401
        name = self.spool.add(bytes(record(path, ids_along(self.root, path), victim_tgid=tgid, **fields)))
        assert name is not None
        self.reporter.arrived(name, now)

    def write(self, manifest: Mapping[str, Any]) -> None:
        if self.error:
            raise self.error
        self.written.append(manifest)

    def run(self, *pods: Pod, now: float = 0.0) -> float | None:
        return self.reporter.run(pods, self.tree, now)

    def regarded(self) -> list[str]:
        return [each["regarding"]["name"] for each in self.written]


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_a_known_victim_is_reported_at_once(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    """To the output, the log and the last victims; then its file goes."""
    node.know(pod())
    node.kill()

    assert node.run(pod()) is None
    assert ["web-0"] == node.regarded()
    assert () == node.spool.pending
    assert [("web-0", "app", "Node")] == [(v["pod"], v["container"], v["scope"]) for v in node.reporter.last]
    assert "Kernel OOM killer killed java (pid 1" in caplog.text


def test_a_failing_output_keeps_the_victim_and_is_tried_again(node: Node) -> None:
    """Later and later, up to a bound; then all are written in their order."""
    node.know(pod())
    for tgid in (1, 2):
        node.kill(tgid=tgid)
    node.error = OSError(28, "No space left on device")
    waits, now = [], 0.0
    for _ in range(4):
        waits.append(node.run(now=now) or 0.0)
        now += waits[-1]

    assert [1.0, 2.0, 4.0, 4.0] == waits
    assert "No space left" in node.target.problem
    assert 2 == len(node.spool.pending)
    node.error = None
    assert 0.5 == node.run(now=now - 0.5)
    assert node.run(now=now) is None
    assert (["web-0", "web-0"], "") == (node.regarded(), node.target.problem)


def test_a_report_waits_for_the_object_of_its_pod(node: Node) -> None:
    """A pod killed right after its start: its object is still under way."""
    node.kill(now=10.0)

    assert 5.0 == node.run(now=10.0)
    assert 3.0 == node.run(now=12.0)
    assert node.run(pod(), now=12.5) is None
    assert ["web-0"] == node.regarded()


def test_a_report_does_not_wait_for_ever(node: Node) -> None:
    """Then it says what it knows: the uid."""
    node.kill(now=10.0)
    node.run(now=15.0)

    assert ["node-1"] == node.regarded()


def test_while_pods_are_expected_no_name_is_given_up(node: Node) -> None:
    """An agent that started without API server and checkpoint knows no pod at all; nothing could be sent anyway."""
    node.kill(now=10.0)

    assert node.reporter.run((), node.tree, 100.0, expecting=True) is None
    assert [] == node.written
    node.run(pod(), now=200.0)
    assert ["web-0"] == node.regarded()


def test_one_that_waits_holds_up_no_other(node: Node) -> None:
    """The host's victim, which came later, is reported first."""
    node.kill(tgid=1)
    node.kill("system.slice", tgid=2)

    assert 5.0 == node.run()
    assert ["node-1"] == node.regarded()
    assert 1 == len(node.spool.pending)


def test_a_restart_waits_for_nothing(tmp_path: Path) -> None:
    """What an earlier agent left has waited long enough."""
    before = Node(tmp_path)
    before.kill()
    after = Node(tmp_path)

    assert after.run() is None
    assert ["node-1"] == after.regarded()


def test_a_victim_of_another_boot_is_named_by_names_alone(tmp_path: Path) -> None:
    """Its cgroup ids are other cgroups' now."""
    before = Node(tmp_path)
    before.kill()
    before.kill("system.slice", tgid=2)
    after = Node(tmp_path, "another boot")
    after.index.update(
        {each: next(iter(Owners().of(after.tree, [], [], Defaults()).values())) for each in range(1000)}, now=0
    )
    after.run(pod())

    assert {"web-0", "node-1"} == set(after.regarded())


def test_the_trigger_may_live_below_its_container(node: Node) -> None:
    """Its own cgroup is looked for in the tree, and remembered."""
    node.know(pod())
    nested = ids_along(node.root, f"{CONTAINER}/nested")[-1]
    node.kill("system.slice", tgid=2, trigger_tgid=9, trigger_comm=b"sh", trigger_cgroup_id=nested)
    node.run(pod())

    assert "trigger: sh (pid 9) in container app of pod team-a/web-0" in node.written[0]["note"]
    assert node.index.get(nested) is not None


def test_many_are_reported_in_batches(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between them the loop can look at everything else."""
    monkeypatch.setattr(module, "BATCH", 2)
    for tgid in range(1, 6):
        node.kill("system.slice", tgid=tgid)
    waits = [node.run(), node.run(), node.run()]

    assert [0.0, 0.0, None] == waits
    assert 5 == len(node.written)


def test_an_unusable_file_is_passed_over(node: Node) -> None:
    """It is dropped, and the others are reported."""
    node.kill("system.slice", tgid=1)
    (node.root.parent / "spool" / f"{node.spool.pending[0]}.victim").write_bytes(b"")
    node.kill("system.slice", tgid=2)
    node.run()

    assert (1, ()) == (len(node.written), node.spool.pending)


def test_a_crash_after_the_report_reports_it_once(node: Node) -> None:
    """It was written, and its file not removed: the output's end is the witness."""
    node.kill("system.slice", tgid=1)
    node.kill("system.slice", tgid=2)
    node.before = f"name: node-1.{node.spool.pending[0]}\n".encode()
    node.boot()
    node.run()

    assert () == node.spool.pending
    assert 1 == len(node.written)
    assert "(pid 2" in node.written[0]["note"]


# A target that is slow.


class SlowTarget:
    """Takes what it is told to, and says what the test says."""

    fd, problem = -1, ""

    def __init__(self) -> None:
        self.taken: dict[str, Mapping[str, Any]] = {}
        self.room = 1_000
        self.stalled = False
        self.next = Settled()

    def offer(self, name: str, event: Mapping[str, Any], now: float) -> bool:  # noqa: ARG002
        if self.room == 0:
            return False
        self.room -= 1
        self.taken[name] = event
        return True

    def settled(self, now: float) -> Settled:  # noqa: ARG002
        said, self.next = self.next, Settled()
        return said

    def forget(self, names: Iterable[str]) -> None:
        for name in names:
            del self.taken[name]

    def wait(self, now: float) -> float | None:  # noqa: ARG002
        return 7.0 if self.room == 0 else None


class SlowNode(Node):
    def boot(self) -> None:
        self.slow, self.tally = SlowTarget(), Tally()
        self.spool = Spool(self.root.parent / "spool", self.boot_id)
        self.reporter = Reporter(self.settings, self.boot_id, self.spool, self.index, self.slow, tally=self.tally)


@pytest.fixture
def slow(tmp_path: Path) -> SlowNode:
    return SlowNode(tmp_path)


def test_what_is_handed_over_stays_spooled_until_it_arrived(slow: SlowNode) -> None:
    """It is offered once; it is told to those who look at the node at once, and counted."""
    slow.know(pod())
    slow.kill()
    (name,) = slow.spool.pending
    for _ in range(2):
        assert slow.run(pod()) is None

    assert ([name], (name,), 1) == (list(slow.slow.taken), slow.spool.pending, len(slow.reporter.last))
    assert {("Node", "Burstable"): 1} == slow.tally.victims
    slow.slow.next = Settled((name,))
    slow.run(pod())
    assert () == slow.spool.pending


def test_what_has_to_be_offered_again_is_when_its_time_comes(slow: SlowNode) -> None:
    """Others are not held up meanwhile."""
    slow.kill("system.slice", tgid=1)
    slow.run()
    (first,) = slow.spool.pending
    slow.slow.next = Settled((), ((first, 60.0),))
    slow.slow.taken.clear()
    slow.kill("system.slice", tgid=2)

    assert 60.0 == slow.run()
    assert first not in slow.slow.taken
    assert 1 == len(slow.slow.taken)
    slow.run(now=60.0)
    assert first in slow.slow.taken
    assert {("Node", "None"): 2} == slow.tally.victims


def test_without_room_they_wait_in_their_order(slow: SlowNode) -> None:
    """The first that finds no room ends the round; nobody overtakes."""
    for tgid in (1, 2, 3):
        slow.kill("system.slice", tgid=tgid)
    slow.slow.room = 1

    assert 7.0 == slow.run()
    assert list(slow.spool.pending[:1]) == list(slow.slow.taken)
    slow.slow.room = 9
    assert slow.run(now=7.0) is None
    assert list(slow.spool.pending) == list(slow.slow.taken)


def test_what_cannot_be_reported_soon_is_named_now(slow: SlowNode) -> None:
    """In an hour nobody knows the pod any more; what is under way may come back, too."""
    slow.know(pod())
    slow.kill(tgid=1)
    slow.run(pod())
    slow.slow.room, slow.slow.stalled = 0, True
    slow.kill(tgid=2)
    slow.run(pod())
    names = slow.spool.pending
    slow.index = Index()
    slow.boot()
    slow.run()

    assert set(names) == set(slow.slow.taken)
    assert ["web-0", "web-0"] == [each["regarding"]["name"] for each in slow.slow.taken.values()]
    assert ({}, 2) == (dict(slow.tally.victims), len(slow.reporter.last))


def test_it_is_named_once(slow: SlowNode, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the target stalls, a spooled report is not written again."""
    kept: list[str] = []
    monkeypatch.setattr(slow.spool, "keep", lambda name, *_: kept.append(name))
    slow.slow.room, slow.slow.stalled = 0, True
    for tgid in (1, 2):
        slow.kill("system.slice", tgid=tgid)
    for _ in range(3):
        slow.run()

    assert list(slow.spool.pending) == kept


def test_what_the_spool_drops_is_forgotten(slow: SlowNode) -> None:
    """Memory is bounded as the spool is."""
    slow.kill("system.slice", tgid=1)
    slow.run()
    slow.spool._drop(slow.spool.pending[0])
    slow.run()

    assert (set(), set(), {}) == (slow.reporter._told, slow.reporter._under_way, slow.reporter._arrived)
    assert {} == slow.slow.taken

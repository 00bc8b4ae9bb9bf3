# SPDX-License-Identifier: Apache-2.0
"""A spooled victim is named, written, and forgotten only after that."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from oompolicy.model import Defaults
from oompolicy_agent.mapping.owners import OwnerFinder
from oompolicy_agent.victims import reporter as module
from oompolicy_agent.victims.spool import MAX_EACH, Spool
from tests.unit.agent.fakereporting import CONTAINER, Node
from tests.unit.agent.fakes import APP, BOOT, ids_along, old_record, pod, record

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def test_a_known_victim_is_reported_at_once(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    """It is in the output, the log and the last victims, and then its file is removed."""
    node.know(pod())
    node.kill()

    assert node.run(pod()) is None
    assert ["web-0"] == node.regarded()
    assert () == node.spool.pending
    assert [("web-0", "app", "Node")] == [(v["pod"], v["container"], v["scope"]) for v in node.reporter.last]
    assert "Kernel OOM killer killed java (pid 1" in caplog.text


def test_only_a_new_victim_is_received(node: Node, caplog: pytest.LogCaptureFixture) -> None:
    """The same record a second time and an unreadable record need no report. The unreadable one is logged."""
    raw = bytes(record(CONTAINER, ids_along(node.root, CONTAINER)))

    assert [4711, None, None] == [
        victim and victim.tgid for victim in (node.reporter.receive(each, now=0.0) for each in (raw, raw, b"short"))
    ]
    assert 1 == len(node.spool.pending)
    assert "a record cannot be used: a victim's record has 5 bytes" in caplog.text


def test_a_failed_output_keeps_the_victims_and_is_tried_again(node: Node) -> None:
    """The pauses grow up to a bound, and then all are written in their order."""
    node.know(pod())
    for tgid in (1, 2):
        node.kill(tgid=tgid)
    node.error = OSError(28, "No space left on device")
    waits, now = [], 0.0
    for _ in range(4):
        waits.append(node.run(now=now) or 0.0)
        now += waits[-1]

    assert [1.0, 2.0, 4.0, 4.0] == waits
    assert "No space left" in (node.target.problem or "")
    assert 2 == len(node.spool.pending)
    node.error = None
    assert 0.5 == node.run(now=now - 0.5)
    assert node.run(now=now) is None
    assert ["web-0", "web-0"] == node.regarded()
    assert node.target.problem is None


def test_a_report_waits_for_the_object_of_its_pod(node: Node) -> None:
    """A pod may be killed right after its start, before its object arrives."""
    node.kill(now=10.0)

    assert 5.0 == node.run(now=10.0)
    assert 3.0 == node.run(now=12.0)
    assert node.run(pod(), now=12.5) is None
    assert ["web-0"] == node.regarded()


def test_a_report_waits_only_for_the_grace_time(node: Node) -> None:
    """Then it has the pod's uid only."""
    node.kill(now=10.0)
    node.run(now=15.0)

    assert ["node-1"] == node.regarded()


def test_while_the_list_of_pods_is_incomplete_a_report_waits(node: Node) -> None:
    """An agent that started without API server and checkpoint knows no pod, and could send nothing anyway."""
    node.kill(now=10.0)

    assert node.reporter.run((), 100.0, incomplete=True) is None
    assert [] == node.written
    node.run(pod(), now=200.0)
    assert ["web-0"] == node.regarded()


def test_a_report_that_waits_delays_no_other(node: Node) -> None:
    """The host's victim came later and is reported first."""
    node.kill(tgid=1)
    node.kill("system.slice", tgid=2)

    assert 5.0 == node.run()
    assert ["node-1"] == node.regarded()
    assert 1 == len(node.spool.pending)


def test_victims_of_an_earlier_agent_are_reported_at_once(tmp_path: Path) -> None:
    """They have waited for long enough."""
    before = Node(tmp_path)
    before.kill()
    after = Node(tmp_path)

    assert after.run() is None
    assert ["node-1"] == after.regarded()


def test_a_victim_of_another_boot_is_named_by_names_only(tmp_path: Path) -> None:
    """Its cgroup ids belong to other cgroups now."""
    before = Node(tmp_path)
    before.kill()
    before.kill("system.slice", tgid=2)
    after = Node(tmp_path, "another boot")
    after.index.update(
        {each: next(iter(OwnerFinder().of(after.tree, [], [], Defaults()).values())) for each in range(1000)}, now=0
    )
    after.run(pod())

    assert {"web-0", "node-1"} == set(after.regarded())


@pytest.mark.parametrize("depth", [0, 1, 14])
def test_a_trigger_cannot_hide_in_nested_cgroups(node: Node, depth: int) -> None:
    """The record has the ancestors, so depth and removal of its cgroup do not matter."""
    node.know(pod())
    ids = [*ids_along(node.root, CONTAINER), *range(10**6, 10**6 + depth)]
    node.kill("system.slice", tgid=2, trigger_tgid=9, trigger_comm=b"kubelet", trigger_cgroup_ids=ids)
    node.run(pod())

    assert "trigger: kubelet (pid 9) in container app of pod team-a/web-0" in node.written[0]["note"]


def test_the_limit_of_a_nested_cgroup_is_not_the_containers(node: Node) -> None:
    """The cgroup with the limit is the trigger's own, for the first victim and for later ones."""
    node.know(pod())
    nested = ids_along(node.root, f"{CONTAINER}/nested")
    for tgid in (1, 2):
        node.kill(f"{CONTAINER}/nested", tgid=tgid, trigger_cgroup_ids=nested, scope_cgroup_id=nested[-1])
    node.run(pod())

    assert ["Other", "Other"] == [each["scope"] for each in node.reporter.last]
    assert f"{APP}.scope/nested was reached" in node.written[1]["note"]


def test_naming_a_victim_reads_no_cgroups(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenant may make tens of thousands of cgroups, which would block the loop."""
    node.know(pod())
    node.kill("system.slice", tgid=2, trigger_tgid=9, trigger_cgroup_ids=[*ids_along(node.root, ""), 10**6])
    monkeypatch.setattr(os, "scandir", _not_now)
    node.run(pod())

    assert "trigger: java (pid 9), a process of the host" in node.written[0]["note"]


def _not_now(_: object) -> None:
    raise AssertionError("the cgroup tree is read")


@pytest.mark.parametrize("read_back", [False, True])
def test_a_record_of_the_previous_version_is_reported(tmp_path: Path, read_back: bool) -> None:
    """It comes from the ring buffer, or from the spool of the previous agent."""
    node = Node(tmp_path)
    node.know(pod())
    name = node.spool.add(old_record(record(CONTAINER, ids_along(node.root, CONTAINER), trigger_tgid=9)))
    assert name is not None
    if read_back:
        node.spool = Spool(tmp_path / "spool", BOOT)
        node.boot()
    node.run(pod())

    assert () == node.spool.pending
    assert ["web-0"] == node.regarded()
    assert "trigger: java (pid 9), owner unknown" in node.written[0]["note"]


def test_many_are_reported_in_batches(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the batches the loop can do other work."""
    monkeypatch.setattr(module, "BATCH", 2)
    for tgid in range(1, 6):
        node.kill("system.slice", tgid=tgid)
    waits = [node.run(), node.run(), node.run()]

    assert [0.0, 0.0, None] == waits
    assert 5 == len(node.written)


def test_an_unusable_file_is_dropped(node: Node) -> None:
    """The other victims are reported."""
    node.kill("system.slice", tgid=1)
    (node.root.parent / "spool" / f"{node.spool.pending[0]}.victim").write_bytes(b"")
    node.kill("system.slice", tgid=2)
    node.run()

    assert (1, ()) == (len(node.written), node.spool.pending)


@pytest.mark.parametrize(
    "report",
    [
        {"event": {"eventTime": "2026-11-25T12:00:00.000001Z", "note": "x"}, "summary": {}},
        {"event": {"eventTime": "2026-11-25T12:00:00.000001Z", "note": "x", "metadata": 7}, "summary": {}},
    ],
    ids=["no metadata", "other metadata"],
)
def test_any_exception_from_one_record_drops_that_record(tmp_path: Path, report: object, caplog: Any) -> None:  # noqa: ANN401
    """Another version may have written it. The drop is counted and logged, and the next one is reported."""
    (tmp_path / "spool").mkdir()
    head = {"version": 1, "bootId": BOOT, "realtimeOffsetNs": 0, "report": report}
    (tmp_path / "spool/0123456789abcdef.victim").write_text(json.dumps(head) + "\n")
    node = Node(tmp_path)
    node.kill("system.slice", tgid=2)
    node.run()

    assert (1, (), 1) == (len(node.written), node.spool.pending, node.spool.dropped)
    assert "spooled victim 0123456789abcdef cannot be used and is dropped" in caplog.text


def test_a_record_of_several_victims_has_their_number(node: Node) -> None:
    """The Event's series has it."""
    for tgid in range(1, MAX_EACH + 4):
        node.spool.add(bytes(record("system.slice", ids_along(node.root, "system.slice"), victim_tgid=tgid)))
    while node.run() == 0.0:
        pass

    assert MAX_EACH == len(node.written)
    assert [4] == [each["series"]["count"] for each in node.written if "series" in each]


def test_a_crash_after_the_report_reports_it_once(node: Node) -> None:
    """If the output ends with the report, the reporter removes the file without a second report."""
    node.kill("system.slice", tgid=1)
    node.kill("system.slice", tgid=2)
    node.before = f"name: node-1.{node.spool.pending[0]}\n".encode()
    node.boot()
    node.run()

    assert () == node.spool.pending
    assert 1 == len(node.written)
    assert "(pid 2" in node.written[0]["note"]

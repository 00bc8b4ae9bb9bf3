# SPDX-License-Identifier: Apache-2.0
"""The whole agent on a node where no program can observe takes the victims from the kernel's log."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from oompolicy_agent.adjuster import report, wanted
from oompolicy_agent.adjuster.report import Chosen, Report
from oompolicy_agent.kernellog import handover
from oompolicy_agent.kernellog.handover import Handover
from oompolicy_agent.plumbing.clock import boot_clock
from oompolicy_agent.status.metrics import Metrics
from tests.unit.agent.fakenode import CONTAINER
from tests.unit.agent.fakes import BOOT, make, raw_pod, raw_policy
from tests.unit.agent.victims.test_logged import KILL

if TYPE_CHECKING:
    from tests.unit.agent.fakenode import Node

NO_BTF = "this kernel has no BTF (CONFIG_DEBUG_INFO_BTF): /sys/kernel/btf/vmlinux is missing"


class Log:
    """The adjuster's file."""

    def __init__(self, node: Node) -> None:
        self.path = node.folder / "adjuster/kills.json"
        self.content = Handover(BOOT, "", 0)

    def add(self, *pids: int, lost: int = 0, **fields: Any) -> None:  # noqa: ANN401 (as JSON has it)
        for pid in pids:
            now = boot_clock()
            kill = KILL | {"pid": pid, "bootTimeNs": now, "logTimeUs": now // 1000, "path": f"/{CONTAINER}"}
            self.content = self.content.with_kill(kill | fields)
        self.content = replace(self.content, lost=self.content.lost + lost)
        handover.write(self.path, self.content)


@pytest.fixture
def bare(node: Node) -> Node:
    """Return a node without BTF, with an agent that may ask for scores and for the log, and the pod web-0."""
    node.settings = replace(node.settings, scores=True, kernel_log=True, kills_poll=0.01)
    node.state["pinned"] = 0
    node.report(attached=False, backend="ObserveOnly", hook="None", message=NO_BTF)
    make(node.root, CONTAINER)
    node.put("pod.json", raw_pod())
    node.put("policy.json", raw_policy(value=300))
    return node


@pytest.fixture
def log(bare: Node) -> Log:
    return Log(bare)


def adjuster_reports(node: Node, **changes: Any) -> None:  # noqa: ANN401 (as the report has it)
    made = Report(
        boot_id=BOOT, boot_time_ns=boot_clock(), time="2026-11-28T12:00:00.000000Z", mode="Enforce", written=True
    )
    report.write(node.folder / "adjuster/report.json", replace(made, **changes))


def start(node: Node) -> None:
    """Start the agent on a node whose adjuster follows the log."""
    adjuster_reports(node, kernel_log="")
    node.agent.stop()
    node.loop.close()
    node.boot()
    node.agent.start()
    node.until(lambda: node.ready)


def condition(node: Node, name: str) -> dict[str, str]:
    (found,) = [each for each in node.status["conditions"] if each["type"] == name]
    return dict(found)


def requests_log(node: Node) -> bool:
    return wanted.parse((node.folder / "run/wanted.json").read_bytes()).kernel_log


def pids(node: Node) -> list[int]:
    return [int(each["note"].partition("(pid ")[2].partition(",")[0]) for each in node.events]


def test_a_kill_in_the_log_becomes_an_event(bare: Node, log: Log) -> None:
    """It is counted, logged and listed as a record of a program."""
    start(bare)
    log.add(7)
    bare.until(lambda: bare.events and bare.status["counts"]["victims"] == 1 and bare.status["lastVictims"])
    text = Metrics(bare.agent.counters, lambda: bare.agent.view, bare.agent.followed).text().decode()

    assert ["spec.containers{app}"] == [each["regarding"]["fieldPath"] for each in bare.events]
    assert "priority 300 from OOMPolicy web" in bare.events[0]["note"]
    assert "source: the kernel's log" in bare.events[0]["note"]
    assert (7, 300) == tuple(bare.status["lastVictims"][0][key] for key in ("pid", "priority"))
    assert 'oompolicy_agent_victims_total{qos_class="Burstable",scope="Pod"} 1.0\n' in text
    assert "oompolicy_agent_kernel_victims_total 1.0\n" in text


def test_the_node_is_ready_and_says_where_victims_come_from(bare: Node, log: Log) -> None:
    """Missing pins, and programs that are not attached, are no problem here."""
    assert log
    start(bare)

    assert (
        "all objects are received, the adjuster reports and victims come from the kernel's log"
        == condition(bare, "Ready")["message"]
    )
    assert "True" == condition(bare, "Synced")["status"]
    assert f"the loader attached nothing: {NO_BTF}; victims come from the kernel's log" == bare.status["backendReason"]
    assert [] == bare.status["problems"]
    assert requests_log(bare)


@pytest.mark.parametrize(
    ("reported", "allowed", "expected"),
    [
        (None, True, "the adjuster does not follow the kernel's log yet"),
        ("Operation not permitted", True, "does not follow the kernel's log: Operation not permitted"),
        ("", False, "set kernelLog.enabled in the chart"),
    ],
)
def test_a_node_that_cannot_read_the_log_is_not_ready(
    bare: Node, reported: str | None, allowed: bool, expected: str
) -> None:
    """The message has both reasons: no program, and no log."""
    bare.settings = replace(bare.settings, kernel_log=allowed)
    adjuster_reports(bare, kernel_log=reported)
    bare.restart()
    bare.until(lambda: expected in condition(bare, "Ready")["message"])

    assert NO_BTF in condition(bare, "Ready")["message"]
    assert "False" == condition(bare, "Ready")["status"]
    assert allowed == requests_log(bare)


def test_a_node_with_programs_does_not_ask_for_the_log(node: Node) -> None:
    """A file that an adjuster left is not read."""
    node.settings = replace(node.settings, scores=True, kernel_log=True, kills_poll=0.01)
    node.report(attached=True, backend="ObserveOnly", hook="None")
    Log(node).add(7)
    node.restart()
    node.kill("kubepods.slice", victim_tgid=8)
    node.until(lambda: node.events)

    assert not requests_log(node)
    assert [8] == pids(node)


def test_an_agent_that_may_open_no_map_asks_for_the_log(node: Node, log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    """The programs are attached. Linux before 5.19 keeps their maps from every process without CAP_BPF."""
    node.report(attached=True, backend="ObserveOnly", hook="None", message="this kernel has no hook")

    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted", "cgroup_priority")

    monkeypatch.setattr("oompolicy_agent.mapping.pinnedmap.OpenMaps", refuse)
    monkeypatch.setattr("oompolicy_agent.mapping.pinnedmap.unprivileged_bpf_disabled", lambda: "2")
    start(node)
    log.add(7)
    node.until(lambda: node.events)

    assert "this kernel has no hook; victims come from the kernel's log" == node.status["backendReason"]


def test_each_kill_is_reported_once_across_restarts(bare: Node, log: Log) -> None:
    """The number of the last kill is on the disk, so kills that are reported and forgotten stay known."""
    start(bare)
    log.add(1, 2)
    bare.until(lambda: len(bare.events) == 2)
    (bare.folder / "state/checkpoint.json").unlink()
    log.add(3)
    start(bare)
    bare.until(lambda: len(bare.events) == 3)
    log.add(4)
    bare.until(lambda: len(bare.events) == 4)

    assert [1, 2, 3, 4] == pids(bare)


def test_a_kill_that_waits_in_the_spool_is_read_again(bare: Node, log: Log) -> None:
    """The agent ended before the report arrived."""
    bare.settings = replace(bare.settings, output=str(bare.folder / "missing/events.json"))
    start(bare)
    log.add(1)
    bare.until(lambda: list((bare.folder / "state/spool").glob("*.victim")))
    bare.settings = replace(bare.settings, output=str(bare.folder / "events.json"))
    start(bare)
    bare.until(lambda: bare.events)

    assert [1] == pids(bare)


def test_lost_kills_are_counted_like_those_of_a_full_buffer(bare: Node, log: Log) -> None:
    start(bare)
    log.add(lost=3)
    bare.until(lambda: bare.status["counts"]["victimsDropped"] == 3)
    text = Metrics(bare.agent.counters, lambda: bare.agent.view, bare.agent.followed).text().decode()

    assert 'oompolicy_agent_ring_buffer_drops_total{buffer="events"} 3.0\n' in text


def test_a_kill_of_a_shape_that_is_unknown_stops_no_other(
    bare: Node, log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    start(bare)
    log.add(1, path=5)
    log.add(2)
    bare.until(lambda: bare.events)

    assert [2] == pids(bare)
    assert "a record cannot be used: it is no kill of this version" in caplog.text


def test_a_kill_that_the_program_recorded_too_is_reported_once(bare: Node, log: Log) -> None:
    """The program was attached while the adjuster still followed the log."""
    start(bare)
    bare.state["pinned"] = 1
    bare.until(lambda: bare.state["open"])
    bare.kill(CONTAINER, victim_tgid=7, boottime_ns=boot_clock())
    bare.until(lambda: bare.events)
    log.add(7, 8)
    bare.until(lambda: len(bare.events) == 2)

    assert [7, 8] == pids(bare)


def test_the_spared_process_is_that_of_the_last_look(bare: Node, log: Log) -> None:
    """The log does not have it, and the report of the adjuster has."""
    start(bare)
    spared = Chosen(cgroup=0, pid=99, start_time=1, memory=1, priority=1000, comm="sshd")
    adjuster_reports(bare, kernel_log="", spared={"Node": spared})
    log.add(7, scope="")
    bare.until(lambda: bare.events)

    expected = "spared: sshd (pid 99), a process of the host, priority 1000, would have been killed"
    assert expected in bare.events[0]["note"]

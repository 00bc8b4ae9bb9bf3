# SPDX-License-Identifier: Apache-2.0
"""The loop looks for each of its reasons, and a failed look writes nothing wrong."""

from __future__ import annotations

import logging
import resource
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from oompolicy_agent.adjuster import adjuster as program
from oompolicy_agent.adjuster import look, memory, originals, pace, report, wanted
from oompolicy_agent.adjuster.adjuster import Adjuster
from oompolicy_agent.adjuster.badness import Scope
from oompolicy_agent.adjuster.killgroups import KillGroups
from oompolicy_agent.adjuster.logged import LoggedKills
from oompolicy_agent.adjuster.look import Look
from oompolicy_agent.adjuster.originals import Originals
from oompolicy_agent.adjuster.processes import Processes
from oompolicy_agent.adjuster.report import Chosen
from oompolicy_agent.adjuster.reporting import Reporting
from oompolicy_agent.adjuster.wanted import Wanted
from oompolicy_agent.mapping.cgroups import Tree
from oompolicy_agent.mapping.cgroupwalk import MOST_CGROUPS
from oompolicy_agent.plumbing.loop import Loop
from tests.unit.agent.adjuster.machine import BOOT, Machine, adjuster

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from oompolicy_agent.adjuster.report import Report
    from oompolicy_agent.adjuster.wanted import Mode

WEB, BATCH = 5000, 5001


class Groups(KillGroups):
    """Notes each request for memory.oom.group. `fails` is the error of the next ones."""

    def __init__(self) -> None:
        self.asked: list[Mapping[int, bool]] = []
        self.fails: OSError | None = None
        self.errors = frozenset()

    @property
    def known(self) -> Mapping[int, bool]:
        return self.asked[-1] if self.asked else {}

    def bring(self, _tree: Tree, wanted: Mapping[int, bool]) -> int:
        if self.fails:
            raise self.fails
        self.asked.append(wanted)
        return len(wanted)


class Bench:
    """An adjuster with a machine, a clock and an amount of free memory in place of the node's."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.left, self.looks = 1000.0, 0.6, 0
        self.most: int | None = None
        self.monkeypatch = monkeypatch
        self.request = folder / "wanted.json"
        self.machine, self.processes = Machine(), Processes()
        self.machine.priorities = {WEB: 500, BATCH: 100}
        self.web, self.batch = self.machine.start(WEB, 300, 9000), self.machine.start(BATCH, -5, 10)
        monkeypatch.setattr(memory, "share_left", lambda _: self.left)
        monkeypatch.setattr(look, "take", self.take)
        self.loop = Loop(lambda: self.now)
        enforcer = adjuster(self.machine, folder / "originals.json")
        self.groups = Groups()
        self.report_file = folder / "report.json"
        self.reporting = Reporting(self.report_file, BOOT, lambda process: f"p{process.id.pid}")
        self.adjuster = Adjuster(
            self.request,
            folder,
            self.loop,
            enforcer,
            self.processes,
            reporting=self.reporting,
            kill_groups=self.groups,
            kills=LoggedKills(folder / "kills.json", BOOT, self.loop),
        )
        monkeypatch.setattr(program, "scan", lambda _: Tree(1))

    def take(self, _root: Path, _processes: Processes, request: Wanted, most: int | None) -> Look:
        self.most = most
        self.looks += 1
        groups = self.machine.groups(self.machine.priorities)
        chosen = tuple(group for group in groups if group.cgroup in request.cgroups)
        others = tuple(group for group in groups if group.cgroup not in request.cgroups)
        everything = frozenset(self.machine.priorities)
        inside = {"Node": everything}
        return Look(chosen, others, (Scope("Node", 262_144),), everything, (), inside=inside)

    def want(self, mode: Mode, *cgroups: int) -> None:
        wanted.write(self.request, Wanted(mode, 1000, {cgroup: self.machine.priorities[cgroup] for cgroup in cgroups}))

    def step(self, seconds: float = 0.0) -> int:
        """Let time pass, and let the loop do everything that is due. Return the number of looks."""
        before, self.now = self.looks, self.now + seconds
        self.loop.after(0, "turn", lambda: None)
        self.loop.step()
        return self.looks - before

    @property
    def report(self) -> Report:
        return report.read(self.report_file)

    @property
    def scores(self) -> tuple[int, int]:
        return self.web.score, self.batch.score

    @property
    def ordered(self) -> bool:
        return self.batch.usage + self.batch.score * 262 > self.web.usage + self.web.score * 262


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    made = Bench(tmp_path, monkeypatch)
    yield made
    made.adjuster.close()
    made.loop.close()


def test_a_request_is_followed_from_mode_to_mode(bench: Bench) -> None:
    """In Audit there is a solution, but no score. In Off there is neither."""
    bench.want("Audit", WEB, BATCH)
    bench.adjuster.start()

    assert (300, -5) == bench.scores
    assert bench.adjuster.solution
    bench.want("Enforce", WEB, BATCH)
    bench.step()
    bench.step(0.02)
    assert bench.ordered
    bench.want("Off", WEB, BATCH)
    bench.step()
    bench.step(0.02)
    assert (300, -5) == bench.scores
    assert bench.adjuster.solution is None


def test_nothing_is_written_before_a_request(bench: Bench) -> None:
    bench.adjuster.start()

    assert (300, -5) == bench.scores
    assert 0 == bench.looks


def test_a_bad_request_changes_nothing_and_is_logged(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """The last good request stays in force, also for later looks. The report of the next look has the reason."""
    bench.want("Enforce", WEB, BATCH)
    bench.adjuster.start()
    before = bench.scores
    bench.request.write_text('{"version": 1')
    bench.step()
    bench.machine.start(WEB, 300, 10)
    bench.step(20)

    assert before == bench.scores
    assert {before[0]} == {each.score for each in bench.machine.processes.values() if each.cgroup == WEB}
    assert "the last good request stays in force" in caplog.text
    assert "the last good request stays in force" in bench.report.message
    assert bench.report.written


def test_an_idle_node_gets_one_look_in_20_seconds(bench: Bench) -> None:
    bench.want("Enforce", WEB, BATCH)
    bench.adjuster.start()

    assert [0] * 19 + [1] == [bench.step(1) for _ in range(20)]


def test_less_memory_brings_more_looks(bench: Bench) -> None:
    """Growth is seen within a second, and close to the end a look comes every 200 ms."""
    bench.want("Enforce", WEB, BATCH)
    bench.adjuster.start()
    bench.left = 0.04

    assert 1 == bench.step(1)
    assert [1] * 5 == [bench.step(0.21) for _ in range(5)]


def test_a_container_that_leaves_the_request_is_restored(bench: Bench) -> None:
    """A second look confirms that its value is back. Then the file no longer has it."""
    bench.want("Enforce", WEB, BATCH)
    bench.adjuster.start()
    bench.want("Enforce", WEB)
    bench.step()
    bench.step(0.02)

    assert -5 == bench.batch.score
    assert str(BATCH) in (bench.request.with_name("originals.json")).read_text()
    bench.step(1)
    assert str(BATCH) not in (bench.request.with_name("originals.json")).read_text()


def test_no_score_is_written_while_original_values_cannot_be(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The next check tries again."""

    def full(_path: Path, _data: bytes) -> None:
        raise OSError(28, "No space left on device")

    bench.want("Enforce", WEB, BATCH)
    with monkeypatch.context() as broken:
        broken.setattr(originals, "write_atomic", full)
        bench.adjuster.start()

        assert (300, -5) == bench.scores
        assert "scores may be old: [Errno 28] No space left on device" in caplog.text
    bench.step(1)
    assert bench.ordered


def test_failed_accesses_are_logged_once(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """A process that ended is no failure."""
    take = bench.take

    def with_errors(root: Path, processes: Processes, request: Wanted, most: int | None) -> Look:
        processes.errors.update(["EACCES", "vanished"])
        return take(root, processes, request, most)

    bench.want("Enforce", WEB, BATCH)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(look, "take", with_errors)
        bench.adjuster.start()
        bench.step(20)

    assert 2 == bench.looks
    assert 1 == caplog.text.count("some processes cannot be read or written: EACCES; they keep their oom_score_adj")
    assert "vanished" not in caplog.text


def want_groups(bench: Bench, mode: Mode, kill_groups: Mapping[int, bool]) -> None:
    wanted.write(bench.request, Wanted(mode, 1000, {}, kill_groups))


def test_kill_groups_follow_the_request_in_every_mode(bench: Bench) -> None:
    """On a node with the hook, the mode of the scores is Off. Without kill groups, the cgroups are not even read."""
    want_groups(bench, "Off", {})
    bench.adjuster.start()
    assert [] == bench.groups.asked
    want_groups(bench, "Off", {WEB: True})
    bench.step()
    bench.step(0.02)
    want_groups(bench, "Enforce", {})
    bench.step()
    bench.step(0.02)

    assert [{WEB: True}, {}] == bench.groups.asked


def test_kill_groups_are_read_again_every_now_and_then(bench: Bench) -> None:
    """Close to the end of the memory, most looks leave them out. A container may have changed its own value."""
    want_groups(bench, "Off", {WEB: True})
    bench.left = 0.04
    bench.adjuster.start()

    assert 10 == sum(bench.step(0.25) for _ in range(10))
    assert 1 == len(bench.groups.asked)
    bench.step(pace.GROUPS)
    assert 2 == len(bench.groups.asked)


def test_kill_groups_that_cannot_be_written_are_logged(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """The log says what to do, and later looks try again."""
    caplog.set_level(logging.INFO)
    bench.groups.errors = frozenset({"EROFS"})
    want_groups(bench, "Off", {WEB: True})
    bench.adjuster.start()
    assert "memory.oom.group of some cgroups cannot be read or written: EROFS; they keep it" in caplog.text
    assert "write access to the cgroup tree" in caplog.text
    bench.groups.fails = OSError(28, "No space left on device")
    bench.step(20)

    assert "memory.oom.group may be old: [Errno 28] No space left on device" in caplog.text
    bench.groups.fails, bench.groups.errors = None, frozenset()
    caplog.clear()
    bench.step(20)
    assert "groups: in order again" in caplog.text


def test_the_report_of_enforce_names_the_process_that_the_original_values_spared(bench: Bench) -> None:
    """The kernel would have killed the larger process with the higher value of the kubelet."""
    bench.want("Enforce", WEB, BATCH)
    bench.adjuster.start()
    found = bench.report

    assert (BOOT, "Enforce", True, "", ()) == (found.boot_id, found.mode, found.written, found.message, found.unmet)
    assert found.margin is not None
    assert 0 < found.margin < found.total
    assert {500} == set(found.margins) - {1000}
    assert found.margin <= found.margins[500]
    assert {WEB, BATCH} == found.scored
    assert bench.adjuster.solution
    assert bench.adjuster.solution.scores == {cgroup: each.score for cgroup, each in found.scores.items()}
    assert {(WEB, 500), (BATCH, 100)} == {(cgroup, each.priority) for cgroup, each in found.scores.items()}
    web = bench.web.id
    expected = Chosen(WEB, web.pid, web.start, 9000 * resource.getpagesize(), 500, f"p{web.pid}")
    assert {"Node": expected} == found.spared
    assert {} == found.would_kill


def test_the_report_of_audit_names_the_process_that_the_scores_would_have_chosen(bench: Bench) -> None:
    """Nothing is written in Audit, so the victim itself is the choice of the original values."""
    bench.want("Audit", WEB, BATCH)
    bench.adjuster.start()
    found = bench.report

    assert ("Audit", False, {}) == (found.mode, found.written, found.scores)
    assert BATCH == found.would_kill["Node"].cgroup
    assert {} == found.spared


def test_the_report_of_off_has_no_order(bench: Bench) -> None:
    bench.want("Off")
    bench.adjuster.start()
    found = bench.report

    assert ("Off", False, None, {}, frozenset()) == (
        *(found.mode, found.written, found.margin, found.margins, found.scored),
    )
    assert ({}, {}) == (found.spared, found.would_kill)


def test_the_report_says_that_there_is_no_request(bench: Bench) -> None:
    """The time of the last look is 0, so the agent never takes such a report for one of now."""
    bench.adjuster.start()
    found = bench.report

    assert (None, 0, None) == (found.mode, found.boot_time_ns, found.time)
    assert "the request of the agent cannot be used" in found.message


def test_a_score_that_is_not_written_is_in_the_report(bench: Bench) -> None:
    """A failed look keeps its earlier time, so that the report grows old."""
    bench.want("Enforce", WEB, BATCH)
    bench.adjuster.start()
    time = bench.report.boot_time_ns
    take = bench.take

    def fails(root: Path, processes: Processes, request: Wanted, most: int | None) -> Look:
        processes.errors["EACCES"] += 1
        return take(root, processes, request, most)

    bench.monkeypatch.setattr(look, "take", fails)
    bench.step(20)
    refused = bench.report
    assert not refused.written
    assert "EACCES" in refused.message
    assert time < refused.boot_time_ns

    def breaks(_root: Path, _processes: Processes, _request: Wanted, _most: int | None) -> Look:
        raise OSError("no tree")

    bench.monkeypatch.setattr(look, "take", breaks)
    bench.step(20)
    assert not bench.report.written
    assert "scores may be old: no tree" in bench.report.message
    assert refused.boot_time_ns == bench.report.boot_time_ns


def test_a_pod_with_too_many_cgroups_is_in_the_report(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """The values of its cgroups stay known, also of those that were not read. The other pods have their scores."""
    bench.want("Enforce", WEB, BATCH)
    bench.adjuster.start()
    take = bench.take

    def crowded(root: Path, processes: Processes, request: Wanted, most: int | None) -> Look:
        found = take(root, processes, request, most)
        web, batch = found.wanted
        return replace(
            found,
            wanted=(web,),
            cgroups=frozenset({WEB}),
            host=batch.processes,
            complete=False,
            crowded=("pod1", "pod2"),
        )

    bench.monkeypatch.setattr(look, "take", crowded)
    bench.step(20)

    assert not bench.report.written
    assert "pod1, pod2: more than 2048 cgroups" in bench.report.message
    assert 1 == caplog.text.count("pod1, pod2: more than 2048 cgroups")
    assert {WEB, BATCH} == Originals(bench.report_file.with_name("originals.json"), BOOT).known.keys()
    bench.monkeypatch.setattr(look, "take", take)
    bench.want("Off", WEB, BATCH)
    bench.step(20)
    assert (300, -5) == bench.scores


def test_all_cgroups_are_read_while_scores_have_to_go(bench: Bench) -> None:
    """A pod with too many cgroups gets its original values back too."""
    bench.want("Enforce", WEB, BATCH)
    bench.adjuster.start()
    assert MOST_CGROUPS == bench.most
    bench.want("Off")
    bench.step()
    bench.step(0.02)
    assert bench.most is None
    bench.step(20)
    bench.step(20)
    assert MOST_CGROUPS == bench.most


def test_a_report_that_cannot_be_written_is_logged(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """The scores are written all the same."""
    bench.report_file.mkdir()
    bench.want("Enforce", WEB, BATCH)
    bench.adjuster.start()

    assert bench.ordered
    assert "the report for the agent cannot be written" in caplog.text

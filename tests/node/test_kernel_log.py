# SPDX-License-Identifier: Apache-2.0
"""A node whose kernel lets no BPF program observe: the victims come from the kernel's log."""

from __future__ import annotations

import select
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from oompolicy_agent.adjuster.killwatch import KillWatch
from tests.node.hog import oom_kills
from tests.node.kubelet import Kubelet, Pod, write_manifests
from tests.node.policy import BUILD
from tests.node.running_adjuster import RunningAdjuster
from tests.node.running_agent import RUN_DIR, RunningAgent, wait_until
from tests.node.test_agent import BATCH, DATABASES
from tests.node.test_scored_agent import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.node.cgroup import Cgroup
    from tests.node.hog import Hog
    from tests.node.machine import Node

pytestmark = pytest.mark.scores

HIDE: Final = 'mount --bind "$0" /sys/kernel/btf && exec "$@"'
"""The shell command that runs another one on a kernel without BTF. It needs a mount namespace of its own."""
LIMIT_MIB: Final = 12
WAIT_MS: Final = 60_000
FORGED: Final = (
    "<3>Memory cgroup out of memory: Killed process 1 (init) total-vm:4kB, anon-rss:4kB, file-rss:0kB, shmem-rss:0kB, "
    "UID:0 pgtables:4kB oom_score_adj:0\n"
)


class Board:
    """A node without BTF, with the pods postgres and report. A container of them may hold 12 MiB."""

    def __init__(self, node: Node, folder: Path, *, hidden: bool = True) -> None:
        for parent in (folder, folder.parent, folder.parent.parent):
            parent.chmod(0o755)
        self.node, self.kubelet = node, Kubelet(node, root_limit=200)
        (folder / "types").mkdir()
        loader = [sys.executable, "-m", "oompolicy_agent.loader", "attach", "--object-dir", str(BUILD / "bpf")]
        without_btf = ["unshare", "--mount", "sh", "-c", HIDE, str(folder / "types")]
        subprocess.run([*(without_btf if hidden else ()), *loader], check=True, capture_output=True)
        self.adjuster, self.agent = RunningAdjuster(folder), RunningAgent(folder / "agent", RUN_DIR)
        self.adjuster.run_dir = RUN_DIR
        self.agent.options = ["--scores", "--kernel-log", "--adjuster-dir", str(self.adjuster.state)]
        self.pods = {
            "postgres": Pod("postgres-0", namespace="shop", labels={"app": "postgres"}),
            "report": Pod("report-x", namespace="batch", labels={"app": "report"}),
        }
        pods = [pod.manifest() for pod in self.pods.values()]
        write_manifests(self.agent.manifests, DATABASES, BATCH, settings("Enforce"), *pods)
        self.cgroups = {name: self.container(name) for name in self.pods}

    def container(self, name: str) -> Cgroup:
        cgroup = self.kubelet.container(self.pods[name], "app")
        cgroup.write("memory.max", LIMIT_MIB << 20)
        return cgroup

    def start(self) -> None:
        """Start both programs, and wait until the node reads the log."""
        self.adjuster.start()
        self.agent.start()
        wait_until("the log", lambda: self.agent.condition("Ready")["status"] == "True")

    def run_out_of_memory(self, name: str) -> Hog:
        """Let a process of a pod exceed the limit of its container. Return it."""
        hog = self.node.hog(self.cgroups[name], 2, options=["--name", name])
        hog.ask_to_grow(2 * LIMIT_MIB)
        assert hog.was_killed()
        return hog

    def notes(self, number: int) -> list[str]:
        """Wait for so many victims, and return the texts of their Events. There are no more of them."""

        def all_() -> bool:
            return self.victims() >= number

        wait_until(f"{number} victims", all_)
        assert number == self.victims()
        return [str(each["note"]) for each in self.agent.events()]

    def victims(self) -> int:
        return sum(each.get("series", {}).get("count", 1) for each in self.agent.events())

    def close(self) -> None:
        for each in (self.agent, self.adjuster):
            each.kill()
            print(each.log.read_text() if each.log.exists() else "")


@pytest.fixture
def board(node: Node, tmp_path: Path, bare: None) -> Iterator[Board]:
    assert bare is None
    made = Board(node, tmp_path)
    yield made
    made.close()


def test_a_kill_in_the_log_becomes_an_event_on_the_victims_pod(board: Board) -> None:
    """The Event has scope, priority and trigger, and says where it is from. The node is ready, and has the reason."""
    board.start()
    hog = board.run_out_of_memory("postgres")
    (note,) = board.notes(1)

    assert f"killed postgres (pid {hog.pid}, anon-rss " in note
    assert "in container app of pod shop/postgres-0: scope Container: the container reached its memory limit" in note
    assert "priority 900 from OOMPolicy databases" in note
    assert "trigger: its own allocation; source: the kernel's log" in note
    wait_until("the count", lambda: board.agent.status()["counts"]["victims"] == 1)
    status = board.agent.status()
    assert "OOMScoreAdj" == status["backend"]
    assert "this kernel has no BTF" in status["backendReason"]
    assert "victims come from the kernel's log" in status["backendReason"]
    assert 0 == status["counts"]["victimsDropped"]
    assert "postgres-0" == status["lastVictims"][0]["pod"]


@pytest.mark.closed_maps
def test_an_agent_that_may_open_no_map_reports_from_the_log(node: Node, tmp_path: Path, bare: None) -> None:
    """Before Linux 5.19 a program observes, and only a process with CAP_BPF could read its records."""
    assert bare is None
    with closing(Board(node, tmp_path, hidden=False)) as board:
        board.start()
        board.run_out_of_memory("postgres")

        assert "source: the kernel's log" in board.notes(1)[0]
        assert "victims come from the kernel's log" in board.agent.status()["backendReason"]


def test_a_line_that_a_process_wrote_to_the_log_is_no_victim(board: Board) -> None:
    """The kernel gives such a line another facility, also if the process asks for that of the kernel."""
    board.start()
    for text in (FORGED, f"<3>one\n{FORGED}"):
        Path("/dev/kmsg").write_text(text)
    board.run_out_of_memory("report")

    assert "killed report " in board.notes(1)[0]


@pytest.mark.once
def test_a_kill_while_a_program_does_not_run_is_reported_once(board: Board) -> None:
    """Either program, or both, can be killed before the kill, and started after it."""
    board.start()
    board.run_out_of_memory("report")
    board.notes(1)
    board.agent.kill()
    board.run_out_of_memory("report")
    board.agent.start()
    board.notes(2)
    board.adjuster.kill()
    board.run_out_of_memory("report")
    board.adjuster.start()
    board.notes(3)
    for program in (board.agent, board.adjuster):
        program.kill()
    board.run_out_of_memory("postgres")
    board.start()
    notes = board.notes(4)

    assert [3, 1] == [sum(f"killed {name} " in note for note in notes) for name in ("report", "postgres")]
    assert 0 == board.agent.status()["counts"]["victimsDropped"]


@pytest.mark.once
def test_each_of_two_hundred_kills_is_reported_once(board: Board) -> None:
    """The kernel kills a container as a whole. It logs and counts the process that it chose twice."""
    board.start()
    before = oom_kills()
    cgroup = board.cgroups["report"]
    cgroup.write("memory.max", 100 << 20)
    hog = board.node.hog(cgroup, 20, options=["--name", "member", "--crowd", "199"])
    pids = cgroup.pids()
    hog.ask_to_grow(200)
    assert hog.was_killed()
    notes = board.notes(200)

    assert (200, 201) == (len(pids), oom_kills() - before)
    assert all("in container app of pod batch/report-x" in note for note in notes)
    assert 0 == board.agent.status()["counts"]["victimsDropped"]


@pytest.mark.once
def test_a_victim_without_a_line_about_its_cgroup_has_its_pod_from_the_last_look(board: Board) -> None:
    """The kernel describes ten OOMs in five seconds. It logs one line of every other one."""
    board.start()
    cgroup = board.cgroups["report"]
    cgroup.write("memory.oom.group", 0)
    hogs = [board.node.hog(cgroup, 0, options=["--name", "report"]) for _ in range(30)]
    looked = board.agent.status()["order"]["time"]
    wait_until("a look", lambda: board.agent.status()["order"]["time"] != looked)
    for hog in hogs:
        hog.ask_to_grow(2 * LIMIT_MIB)
    assert all(hog.was_killed() for hog in hogs)
    notes = board.notes(30)

    assert all("in container app of pod batch/report-x" in note for note in notes)
    assert any("scope unknown: the kernel logs it for at most 10 OOMs in 5 seconds" in note for note in notes)


@pytest.mark.once
def test_a_kill_that_was_overwritten_in_the_log_counts_as_lost(board: Board) -> None:
    """The kernel counts the chosen process of a group twice, so the container does not die as a group here."""
    board.start()
    board.cgroups["report"].write("memory.oom.group", 0)
    board.adjuster.kill()
    board.run_out_of_memory("report")
    with Path("/dev/kmsg").open("w") as log:
        for _ in range(1500):
            log.write("x" * 500)
            log.flush()
    board.adjuster.start()
    wait_until("the loss", lambda: board.agent.status()["counts"]["victimsDropped"] == 1)
    board.run_out_of_memory("postgres")

    assert "killed postgres " in board.notes(1)[0]


@pytest.mark.once
def test_an_adjuster_without_the_right_to_the_log_says_so(board: Board) -> None:
    """kernel.dmesg_restrict is 1, as in Debian, and the adjuster has the capabilities of the chart's default."""
    board.node.sysctl("kernel.dmesg_restrict", 1)
    kept = "-all,+dac_override,+sys_resource"
    board.adjuster.confinement = ("setpriv", f"--bounding-set={kept}", f"--inh-caps={kept}", "--no-new-privs")
    board.adjuster.start()
    board.agent.start()
    wait_until("the reason", lambda: "capability SYSLOG" in board.agent.condition("Ready")["message"])

    assert "False" == board.agent.condition("Ready")["status"]


def test_a_kill_below_a_cgroup_wakes_its_watch(node: Node) -> None:
    """The kernel reports it in each cgroup above the process, also the next one."""
    pods = node.cgroup("kubepods/pod")
    container = pods.child("container", memory__max=LIMIT_MIB << 20)
    with closing(KillWatch()) as watch:
        watch.watch([str(pods.path)])
        woken = select.poll()
        woken.register(watch.fd, select.POLLIN)
        assert [] == woken.poll(0)
        for _ in range(2):
            hog = node.hog(container, 2)
            hog.ask_to_grow(2 * LIMIT_MIB)
            assert hog.was_killed()
            assert woken.poll(WAIT_MS)
            watch.acknowledge()

# SPDX-License-Identifier: Apache-2.0
"""Faults of the adjuster and of its node: no wrong value is written, and the report has the reason."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import pytest

from oompolicy_agent.adjuster import report
from oompolicy_agent.adjuster.processes import Processes
from oompolicy_agent.plumbing.paths import ADJUSTER_REPORT
from tests.node.hog import PROGRAM, Hog, run_out_of_memory
from tests.node.machine import run
from tests.node.model import HOST_PRIORITY, PAGE
from tests.node.running_adjuster import all_scores, is_ordered, score
from tests.node.running_agent import wait_until
from tests.node.test_order import cgroup_of

if TYPE_CHECKING:
    from pathlib import Path

    from oompolicy_agent.adjuster.report import Report
    from tests.node.cgroup import Cgroup
    from tests.node.machine import Node
    from tests.node.running_adjuster import RunningAdjuster

pytestmark = [pytest.mark.scores, pytest.mark.once]

LIMIT_MIB = 64
PAGES = (LIMIT_MIB << 20) // PAGE
VALUES = {"low": -997, "middle": 1000, "high": 300}
SIZES = {"low": 6, "middle": 12, "high": 20}
USER = "1000"
LEFT_MIB = 6
"""The memory that is left when the adjuster is killed. It is less than the margin, so the scores hold until the OOM."""


@pytest.fixture(autouse=True)
def _bare(bare: None) -> None:
    assert bare is None


class Pods:
    """Three containers below a limit, from the lowest priority to the highest, and one of the host's priority."""

    def __init__(self, node: Node, adjuster: RunningAdjuster) -> None:
        self.node, self.adjuster = node, adjuster
        node.cgroup("kubepods", memory__max=LIMIT_MIB << 20)
        self.hogs = {
            name: node.hog(node.cgroup(f"kubepods/pod-{name}/container"), mib, adj=VALUES[name])
            for name, mib in SIZES.items()
        }
        self.trigger = node.cgroup("kubepods/pod-trigger/container")
        self.wanted: dict[Cgroup, int] = {self.trigger: HOST_PRIORITY}
        self.wanted |= {cgroup_of(hog): 100 * place for place, hog in enumerate(self.hogs.values(), 1)}

    def enforce(self) -> None:
        self.adjuster.want("Enforce", self.wanted)
        self.adjuster.start()

    def wait_for_order(self) -> None:
        wait_until("the order", partial(is_ordered, list(self.hogs.values()), PAGES))

    def fill(self) -> Hog:
        """Start a process of the host's priority that takes all but `LEFT_MIB`, and wait until it is in the order."""
        mib = LIMIT_MIB - LEFT_MIB - sum(hog.mib for hog in self.hogs.values())
        filler = self.node.hog(self.trigger, mib)
        wait_until("the order", partial(is_ordered, [*self.hogs.values(), filler], PAGES))
        return filler

    @property
    def values(self) -> dict[str, int]:
        return {name: score(hog.pid) for name, hog in self.hogs.items()}

    @property
    def report(self) -> Report:
        return report.read(self.adjuster.state / ADJUSTER_REPORT)


@pytest.fixture
def pods(node: Node, adjuster: RunningAdjuster) -> Pods:
    return Pods(node, adjuster)


@pytest.mark.parametrize("killed_after", [0, 1, 2])
def test_an_adjuster_that_is_killed_in_a_storm_changes_neither_the_order_nor_another_process(
    pods: Pods, killed_after: int
) -> None:
    """SIGKILL before the first, between, or after two OOMs: the victims are those of the order, and all is restored.

    Compared value by value over all processes of the machine, only the three containers ever had another value.
    """
    before = all_scores()
    pods.enforce()
    pods.wait_for_order()
    for number in range(2):
        filler = pods.fill()
        if number == killed_after:
            pods.adjuster.kill(signal.SIGKILL)
        # The next one may die too, before the memory of the first is free.
        dead = run_out_of_memory(filler, pods.hogs.values())
        assert list(pods.hogs.values())[: len(dead)] == dead
        filler.end()
        pods.hogs = {name: hog for name, hog in pods.hogs.items() if hog not in dead}
        if number == killed_after:
            pods.adjuster.start()
    if killed_after == 2:
        pods.adjuster.kill(signal.SIGKILL)
        pods.adjuster.start()
    pods.wait_for_order()
    during = all_scores()
    pods.adjuster.want("Off", pods.wanted)
    wait_until("the kubelet's values", lambda: pods.values == {name: VALUES[name] for name in pods.hogs})
    after = all_scores()

    own = {hog.pid for hog in pods.hogs.values()}
    for later in (during, after):
        both = (before.keys() & later.keys()) - (own if later is during else set())
        assert {pid: before[pid] for pid in both} == {pid: later[pid] for pid in both}


def test_an_adjuster_without_the_pids_of_the_node_says_so(pods: Pods) -> None:
    """An adjuster without hostPID sees no process of a pod. It must not report that all processes have their scores."""
    pods.adjuster.confinement = ("unshare", "--pid", "--mount-proc", "--fork", "--kill-child")
    pods.enforce()
    wait_until("a report", (pods.adjuster.state / ADJUSTER_REPORT).exists)

    assert pods.values == VALUES
    assert not pods.report.written
    assert "some processes cannot be read or written: hidden; they keep their oom_score_adj" in pods.report.message
    assert "the node's pid namespace (hostPID)" in pods.report.message


class OfAUser(Hog):
    """A process of another user in a container, as nearly all images have it."""

    def __init__(self, cgroup: Cgroup, mib: int, adj: int) -> None:
        self.mib, self.cgroup = mib, cgroup
        user = ("setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups")
        script = 'echo 0 >"$0/cgroup.procs"; exec "$@"'
        command = ["sh", "-c", script, str(cgroup.path), *user, str(PROGRAM), "--adj", str(adj), str(mib)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self._expect("ready")


def test_an_adjuster_without_capabilities_says_which_access_failed(node: Node, pods: Pods) -> None:
    """The process of another user keeps its value until an adjuster with capabilities starts."""
    user = node.adopt(OfAUser(node.cgroup("kubepods/pod-user/container"), 4, 700))
    pods.wanted[cgroup_of(user)] = 50
    pods.adjuster.confinement = ("setpriv", "--inh-caps=-all", "--bounding-set=-all")
    pods.enforce()
    wait_until("a report", (pods.adjuster.state / ADJUSTER_REPORT).exists)

    assert 700 == score(user.pid)
    assert not pods.report.written
    assert "some processes cannot be read or written: EACCES; they keep" in pods.report.message
    pods.adjuster.kill()
    pods.adjuster.confinement = ()
    pods.adjuster.start()
    wait_until("the order", lambda: is_ordered([user, *pods.hogs.values()], PAGES))
    wait_until("the report", lambda: pods.report.written and not pods.report.message)


def test_a_full_folder_stops_new_scores_and_loses_no_original_value(
    node: Node, pods: Pods, request: pytest.FixtureRequest
) -> None:
    """A container that starts while the folder is full keeps the kubelet's value, also with the next adjuster.

    As soon as there is room, it has its score. In the mode Off all processes have the kubelet's values again.
    """
    pods.adjuster.state.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(pods.adjuster.state))
    request.addfinalizer(partial(run, "umount", "--lazy", str(pods.adjuster.state)))
    pods.enforce()
    pods.wait_for_order()
    scored = pods.values
    filler = pods.adjuster.state / "filler"
    fill(filler)
    late = node.hog(node.cgroup("kubepods/pod-late/container"), 4, adj=700)
    pods.wanted[cgroup_of(late)] = 50
    pods.adjuster.want("Enforce", pods.wanted)
    sentence = "scores may be old: [Errno 28] No space left on device"
    wait_until("the reason", lambda: sentence in pods.adjuster.log.read_text())
    pods.adjuster.kill(signal.SIGKILL)
    pods.adjuster.start()

    assert 700 == score(late.pid)
    assert scored == pods.values
    assert "the report for the agent cannot be written: [Errno 28]" in pods.adjuster.log.read_text()
    filler.unlink()
    wait_until("the order", lambda: is_ordered([late, *pods.hogs.values()], PAGES))
    pods.adjuster.want("Off", pods.wanted)
    wait_until("the kubelet's values", lambda: (VALUES, 700) == (pods.values, score(late.pid)))


def fill(path: Path) -> None:
    """Write until the file system is full."""
    with path.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(512))


WITH_PID = """
import ctypes, os, sys
pid, clone_args = ctypes.c_int(int(sys.argv[1])), (ctypes.c_uint64 * 10)()
clone_args[4], clone_args[8], clone_args[9] = 17, ctypes.addressof(pid), 1
made = ctypes.CDLL(None, use_errno=True).syscall(435, clone_args, 80)
if made < 0:
    sys.exit(os.strerror(ctypes.get_errno()))
os.waitpid(made, 0) if made else os.execv(sys.argv[2], sys.argv[2:])
"""
"""A program that starts another one with a given pid: clone3() with the signal at its end, and with set_tid."""


class WithPid(Hog):
    """A process with the pid of an earlier one."""

    def __init__(self, pid: int, adj: int) -> None:
        self.mib, self.cgroup, self._pid = 1, None, pid
        command = [sys.executable, "-c", WITH_PID, str(pid), str(PROGRAM), "--adj", str(adj), "1"]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self._expect("ready")

    @property
    def pid(self) -> int:
        return self._pid


def test_a_score_for_a_process_that_ended_is_not_written_to_the_next_one_with_its_pid(node: Node) -> None:
    """The kernel gives the pid of a process that was read to another one before the write."""
    earlier = node.hog(node.cgroup("kubepods/pod/container"), 1, adj=300)
    processes = Processes()
    (found,) = processes.read([earlier.pid])
    earlier.end()
    later = node.adopt(WithPid(earlier.pid, 400))
    written = processes.write(found, 999), processes.write(found, 999)
    errors = dict(processes.errors)
    processes.keep(())

    assert (True, True) == written
    assert {"vanished": 1} == errors
    assert 400 == score(later.pid)

# SPDX-License-Identifier: Apache-2.0
"""Processes are read and written through descriptors that belong to one process each."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from oompolicy_agent.adjuster.group import Process, ProcessId
from oompolicy_agent.adjuster.processes import Processes

if TYPE_CHECKING:
    from collections.abc import Iterator

STATUS = """Name:\tVmRSS:\t99 kB
Umask:\t0022
State:\tS (sleeping)
Tgid:\t{pid}
PPid:\t1
VmPeak:\t  999999 kB
VmRSS:\t    1200 kB
RssAnon:\t     800 kB
VmData:\t     900 kB
VmPTE:\t      44 kB
VmSwap:\t     400 kB
Threads:\t1
"""


class FakeProc:
    """A folder like /proc. A process that ends leaves descriptors of its folder without files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes = Processes(folder)

    def start(self, pid: int, start: int, score: int = 0) -> None:
        process = self.folder / str(pid)
        process.mkdir()
        (process / "status").write_text(STATUS.format(pid=pid))
        (process / "stat").write_text(f"{pid} (a) 9 (b)) S 1 {' '.join(map(str, range(17)))} {start} 5 6\n")
        (process / "oom_score_adj").write_text(f"{score}\n")

    def end(self, pid: int) -> None:
        for path in (self.folder / str(pid)).iterdir():
            path.unlink()
        (self.folder / str(pid)).rmdir()

    def score(self, pid: int) -> str:
        return (self.folder / str(pid) / "oom_score_adj").read_text().strip()


@pytest.fixture
def proc(tmp_path: Path) -> Iterator[FakeProc]:
    made = FakeProc(tmp_path)
    yield made
    made.processes.keep(())


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """Start a process of this test's own, which waits until it is killed."""
    process = subprocess.Popen([sys.executable, "-c", "print(flush=True); input()"], stdin=-1, stdout=-1)
    assert process.stdin
    assert process.stdout
    process.stdout.readline()
    yield process
    process.kill()
    process.wait()
    process.stdin.close()
    process.stdout.close()


def test_a_real_process_is_read_and_written(child: subprocess.Popen[bytes]) -> None:
    """The usage is what its status says in pages, and the score is in force after the write."""
    processes = Processes()
    (before,) = processes.read([child.pid])
    assert processes.write(before, 321)
    (after,) = processes.read([child.pid])
    processes.keep(())
    statm = int(Path(f"/proc/{child.pid}/statm").read_text().split()[1])

    assert os.getpid() == before.parent
    assert statm <= before.usage <= statm + 200
    assert 321 == after.score == int(Path(f"/proc/{child.pid}/oom_score_adj").read_text())
    assert after.id == before.id


def test_a_real_process_that_ended_is_no_failure(child: subprocess.Popen[bytes]) -> None:
    processes = Processes()
    (found,) = processes.read([child.pid])
    child.kill()
    child.wait()

    assert processes.write(found, 500)
    assert [] == processes.read([child.pid])
    assert {"vanished": 2} == processes.errors


def test_a_process_of_a_cgroup_that_proc_does_not_have_is_hidden(
    proc: FakeProc, child: subprocess.Popen[bytes]
) -> None:
    """A cgroup has 0 for a process of another pid namespace, and with hidepid only its folder is missing."""
    proc.start(7, 100)
    assert [7] == [each.id.pid for each in proc.processes.read([0, 7, 8])]
    proc.processes.expect([0, 7, 8])
    assert {"vanished": 2, "hidden": 2} == proc.processes.errors
    processes = Processes()
    processes.read([child.pid])
    processes.expect([child.pid])
    processes.keep(())

    assert {} == processes.errors


def test_usage_is_rss_page_tables_and_swap_in_pages(proc: FakeProc) -> None:
    """The name of a process cannot pass for a line of its status, and its parentheses not for the end of its name."""
    proc.start(7, 4711, -5)
    page = os.sysconf("SC_PAGESIZE") // 1024

    assert [Process(ProcessId(7, 4711), 1, -5, 1200 // page + 44 // page + 400 // page)] == proc.processes.read([7])


def test_kernel_threads_have_no_memory_and_are_left_out(proc: FakeProc) -> None:
    proc.start(2, 0)
    status = proc.folder / "2/status"
    status.write_text("\n".join(line for line in status.read_text().splitlines() if not line.startswith("Vm")))

    assert [] == proc.processes.read([2])
    assert not proc.processes.errors


def test_the_oldest_process_is_first(proc: FakeProc) -> None:
    """A pid may be smaller than that of an older process."""
    proc.start(7, 900)
    proc.start(9, 300)

    assert [9, 7] == [each.id.pid for each in proc.processes.read([7, 9])]


def test_a_pid_that_is_used_again_is_another_process(proc: FakeProc) -> None:
    """A score for the earlier process is not written to the later one, and the next read finds the later one."""
    proc.start(7, 100, 50)
    (earlier,) = proc.processes.read([7])
    proc.end(7)
    proc.start(7, 200, 60)

    assert proc.processes.write(earlier, 999)
    assert "60" == proc.score(7)
    assert proc.processes.write(earlier, 999)
    assert "60" == proc.score(7)
    assert [ProcessId(7, 200)] == [each.id for each in proc.processes.read([7])]


def test_a_read_through_a_stale_descriptor_reads_the_new_process(proc: FakeProc) -> None:
    proc.start(7, 100)
    proc.processes.read([7])
    proc.end(7)
    proc.start(7, 200)

    assert [ProcessId(7, 200)] == [each.id for each in proc.processes.read([7])]


@pytest.mark.parametrize("value", [-998, -999, -1000])
def test_a_process_that_is_protected_by_now_is_not_written(proc: FakeProc, value: int) -> None:
    proc.start(7, 100)
    (found,) = proc.processes.read([7])
    (proc.folder / "7/oom_score_adj").write_text(f"{value}\n")

    assert proc.processes.write(found, 999)
    assert str(value) == proc.score(7)


@pytest.mark.parametrize("value", [-998, -1000, 1001])
def test_no_value_outside_the_range_is_written(proc: FakeProc, value: int) -> None:
    proc.start(7, 100)
    (found,) = proc.processes.read([7])
    with pytest.raises(ValueError, match=f"{value} is outside -997..1000"):
        proc.processes.write(found, value)
    assert "0" == proc.score(7)


def test_a_failed_write_is_counted_by_its_error(proc: FakeProc) -> None:
    proc.start(7, 100)
    (found,) = proc.processes.read([7])
    (proc.folder / "7/oom_score_adj").unlink()
    (proc.folder / "7/oom_score_adj").symlink_to(proc.folder / "7/stat")

    assert not proc.processes.write(found, 999)
    assert {"ELOOP": 1} == proc.processes.errors
    assert "999" not in (proc.folder / "7/stat").read_text()


def test_descriptors_of_other_processes_are_closed(proc: FakeProc) -> None:
    """However many processes come and go, no descriptor stays open."""
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 (a listing without objects that hold descriptors)
    for pid in range(20):
        proc.start(pid, pid)
    proc.processes.read(range(20))
    during = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    proc.processes.keep([3])
    one = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    proc.processes.keep([])

    assert (20, 1, 0) == (during - before, one - before, len(os.listdir("/proc/self/fd")) - before)  # noqa: PTH208


def test_all_pids_are_the_numbers_in_the_folder(proc: FakeProc) -> None:
    proc.start(7, 100)
    (proc.folder / "self").mkdir()

    assert [7] == proc.processes.all_pids()


def test_a_process_is_in_each_cgroup_of_its_path(proc: FakeProc) -> None:
    """A process that ended is in none."""
    proc.start(3, 30)
    (proc.folder / "3/cgroup").write_text("0::/kubepods/pod1/a/b\n")
    (found,) = proc.processes.read([3])

    assert proc.processes.is_in(found, {"pod1"})
    assert proc.processes.is_in(found, {"b", "c"})
    assert not proc.processes.is_in(found, {"pod"})
    proc.end(3)
    assert not proc.processes.is_in(found, {"pod1"})

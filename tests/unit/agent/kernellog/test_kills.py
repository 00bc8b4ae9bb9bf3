# SPDX-License-Identifier: Apache-2.0
"""The kills in the kernel's log are found, in what Linux 5.10, 6.1, 6.12 and 7.3 have printed in the tests' guests.

In each log a process wrote two lines about a kill. Then a container lost its largest process, then one that asked for
memory, then one was killed as a whole, then one exceeded its own limit, and then the node ran out of memory.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from oompolicy_agent.kernellog import kills
from oompolicy_agent.kernellog.records import split
from tests.unit.agent.kernellog.lines import POD, SUMMARY, killed, line, summary

if TYPE_CHECKING:
    from oompolicy_agent.kernellog.kills import Kill

LOGS: Final = sorted(Path(__file__).parent.glob("linux-*.log"))
GROUP: Final = b"Tasks in %s are going to be killed due to memory.oom.group set"


def found(log: bytes) -> list[Kill | None]:
    return [each.kill for each in kills.find(split(log))]


def of(*texts: bytes) -> list[Kill | None]:
    """Return the kills of these records, one in each microsecond."""
    return found(b"\n".join(line(3, micros, text) for micros, text in enumerate(texts, 1)))


def the(kill: Kill | None) -> Kill:
    assert kill
    return kill


def container(digits: str) -> str:
    return f"{POD}/cri-containerd-{digits * 32}.scope"


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_each_kernels_log_has_its_kills(path: Path) -> None:
    """A name with a line break, a comma and parentheses is read as it is."""
    every = list(filter(None, found(path.read_bytes())))
    by_name = {each.comm: each for each in every}
    java, group = by_name[b"java"], by_name[b"a\nb, \\c)"]
    members = [each for each in every if each.group]
    node = next(each for each in every if each.scope == "")

    assert (POD, container("ab"), 500, 0) == (java.scope, java.path, java.oom_score_adj, java.shmem_kib)
    assert 33 * 1024 < java.anon_kib < 35 * 1024
    assert java.trigger
    assert (True, b"gre),edy") == (java.trigger[0] > 0, java.trigger[1])
    assert (POD, container("ef"), None) == (group.scope, group.path, group.group)
    assert [(b"hog", container("ef"), POD, None)] == [
        (each.comm, each.group, each.scope, each.path) for each in members
    ]
    assert (b"hosty", "/hostlike.slice/x.service", 1000) == (node.comm, node.path, node.oom_score_adj)
    assert not [each for each in every if each.comm == b"init"]


def test_the_logs_are_of_four_kernels() -> None:
    assert ["linux-5.10", "linux-6.1", "linux-6.12", "linux-7.3"] == [path.stem for path in LOGS]


@pytest.mark.parametrize("path", LOGS, ids=lambda path: path.stem)
def test_a_kill_that_the_kernel_logs_twice_is_found_once(path: Path) -> None:
    """The second line of the process that was chosen with its group is found without a kill."""
    every = found(path.read_bytes())
    pids = [each.pid for each in every if each]

    assert 1 == every.count(None)
    assert len(pids) == len(set(pids))


def test_numbers_and_name_of_a_kill() -> None:
    (kill,) = of(killed(4711, b"x (y) "))
    expected = kills.Kill(
        time_us=1,
        pid=4711,
        comm=b"x (y) ",
        uid=1000,
        anon_kib=4096,
        file_kib=876,
        shmem_kib=0,
        pgtables_kib=44,
        oom_score_adj=-5,
    )

    assert expected == kill


def test_a_kill_without_lines_in_front_has_no_cgroup() -> None:
    """Its own line says if it was the node that ran out of memory. The lines of an earlier OOM do not count."""
    first, second, third = map(the, of(summary(1), killed(1), killed(2), killed(3, memcg=False)))

    assert ("/a", "/a/b") == (first.scope, first.path)
    assert (None, None, None) == (second.scope, second.path, second.trigger)
    assert ("", None) == (third.scope, third.path)


@pytest.mark.parametrize("other", [summary(2), summary(1, b"hogs"), b"oom-kill:,task=hog,pid=1,uid=1000"])
def test_a_summary_of_another_process_does_not_count(other: bytes) -> None:
    """Pid, name and user have to be those of the kill, and the rest of the line has to be complete."""
    kill = the(of(other, killed(1))[0])

    assert (None, None) == (kill.scope, kill.path)


def test_a_path_with_the_words_of_the_summary_is_read_whole() -> None:
    """A user may name a cgroup so. The name of the process shows where the path ends."""
    path = "/user.slice/x,task=hog,pid=1,uid=0"

    assert path == the(of(summary(1, path=path), killed(1))[0]).path


def test_an_oom_on_some_numa_nodes_is_bound() -> None:
    text = summary(1, scope=None).replace(b"CONSTRAINT_NONE", b"CONSTRAINT_CPUSET")
    kill = the(of(text, killed(1, memcg=False))[0])

    assert ("", True) == (kill.scope, kill.bound)


def test_the_members_of_a_group_share_scope_and_trigger() -> None:
    """The next OOM with lines in front of its kill ends the group."""
    invoked, task = b"web invoked oom-killer: gfp_mask=0x0, order=0", b"CPU: 0 UID: 0 PID: 9 Comm: web Not tainted 6.12"
    group = (invoked, task, summary(1), killed(1), GROUP % b"/a/b", killed(1), killed(2))
    chosen, twice, member, other = of(*group, summary(3), killed(3))

    assert twice is None
    assert (None, (9, b"web")) == (the(chosen).group, the(chosen).trigger)
    assert ("/a/b", "/a", None, (9, b"web")) == (
        the(member).group,
        the(member).scope,
        the(member).path,
        the(member).trigger,
    )
    assert None is the(other).group


def test_a_kill_of_the_node_is_no_member_of_a_containers_group() -> None:
    """It has no lines in front of it, and follows the kills of the group."""
    _, _, node = of(killed(1), GROUP % b"/a/b", killed(2), killed(3, memcg=False))

    assert (None, "", None) == (the(node).group, the(node).scope, the(node).path)


def test_lines_that_a_process_wrote_are_no_kills() -> None:
    lines = (line(11, 1, SUMMARY), line(11, 2, killed(7)), line(3, 3, killed(8)))
    (kill,) = found(b"\n".join(lines))

    assert 8 == the(kill).pid
    assert replace(the(kill), path=None) == kill

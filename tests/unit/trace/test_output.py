# SPDX-License-Identifier: Apache-2.0
"""The output of one OOM, for programs and for a person."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

from oompolicy_trace import document, main, node, screen
from oompolicy_trace.document import Facts
from oompolicy_trace.probes import PROBES, Source
from oompolicy_trace.records import Answer, Flag, Kind
from oompolicy_trace.story import Oom
from tests.unit.trace.records import record

ENTRY = Flag.HAS_PRIORITY | Flag.HAS_PAGES
if TYPE_CHECKING:
    from pathlib import Path

ANSWERED = Flag.HAS_ANSWER | Flag.HAS_PAGES
POD = "/kubepods.slice/kubepods-pod0123456789abcdef0123456789abcdef.slice/cri-containerd-0123456789.scope"
PATHS = {7: "/kubepods.slice", 8: POD}


def facts(**changes: Any) -> Facts:  # noqa: ANN401 (the fields of Facts)
    given: dict[str, Any] = {"page_size": 4096, "boot_offset_ns": 0, "mode": "Enforce", "host_priority": 1000} | changes
    return Facts(path=lambda number: PATHS.get(number, ""), **given)


def oom(**changes: Any) -> Oom:  # noqa: ANN401 (the fields of Oom)
    """An OOM of /kubepods.slice: the policy selects PID 20 and passes over PID 30, which is larger."""
    chosen = record(Kind.CHOSEN, tgid=20, cgroup_id=8, priority=100, flags=ENTRY, message="Memory cgroup out of memory")
    parts: dict[str, Any] = {
        "began": record(Kind.BEGAN, tgid=5, comm="python3", cgroup_id=7, time_ns=1_000_000_000),
        "looked_at": [
            record(
                tgid=20,
                cgroup_id=8,
                priority=100,
                pages=256,
                badness=256,
                answer=Answer.SELECT,
                flags=ENTRY | Flag.HAS_ANSWER | Flag.HAS_BADNESS | Flag.IS_CHOSEN,
            ),
            record(tgid=30, comm="etcd", pages=1024, adj=10, answer=Answer.NEXT, flags=ANSWERED),
        ],
        "chosen": chosen,
        "signalled": [record(Kind.SIGNALLED, tgid=20, cgroup_id=8, priority=100, flags=ENTRY)],
        "marked": [record(Kind.MARKED, tgid=20)],
        "ended": record(Kind.ENDED, points=100_000, kthreads=3, time_ns=1_002_500_000),
    }
    return Oom(1, **{**parts, **changes})


def test_a_task_has_priority_badness_and_verdict() -> None:
    """The badness is the kernel's, or computed where the policy answered before the kernel measured."""
    selected, passed = document.describe(oom(), facts())["tasks"]

    assert (100, "Entry", 256, "Kernel", "SELECT", "BestSoFar") == tuple(
        selected[key] for key in ("priority", "prioritySource", "badness", "badnessSource", "answer", "verdict")
    )
    assert (1000, "HostPriority", 2024, "Computed", "NEXT", "PassedOver") == tuple(
        passed[key] for key in ("priority", "prioritySource", "badness", "badnessSource", "answer", "verdict")
    )
    assert (256 * 4096, POD) == (selected["memoryBytes"], selected["cgroup"])


def test_an_oom_names_scope_time_and_victims() -> None:
    shown = document.describe(oom(), facts())

    assert {"type": "Cgroup", "cgroupId": 7, "cgroup": "/kubepods.slice"} == shown["scope"]
    assert ("1970-01-01T00:00:01.000+00:00", 2500) == (shown["time"], shown["durationMicroseconds"])
    assert [(20, 100, "chosen")] == [(each["pid"], each["priority"], each["reason"]) for each in shown["killed"]]
    assert "Memory cgroup out of memory" == shown["message"]


@pytest.mark.parametrize(("constraint", "scope"), [(0, "Node"), (1, "NumaNodes"), (2, "NumaNodes")])
def test_a_scope_without_a_cgroup_is_the_node_or_some_of_its_numa_nodes(constraint: int, scope: str) -> None:
    ended = record(Kind.ENDED, constraint=constraint)

    assert {"type": scope} == document.describe(oom(began=record(Kind.BEGAN), ended=ended), facts())["scope"]


def test_a_priority_is_unknown_without_the_map_and_far_below_the_root() -> None:
    """A task so deep that the walk did not reach the root is not taken for a host process."""
    without, deep = (
        document.process(record(tgid=1), facts(host_priority=None)),
        document.process(record(tgid=1, flags=Flag.TOO_DEEP), facts()),
    )

    assert {(None, "Unknown")} == {(each["priority"], each["prioritySource"]) for each in (without, deep)}


def test_the_last_best_task_is_the_chosen_one_where_the_choice_cannot_be_seen() -> None:
    assert 20 == document.describe(oom(chosen=None), facts())["chosen"]["pid"]
    assert document.describe(oom(chosen=None, signalled=[]), facts())["chosen"] is None


def test_a_person_reads_who_was_chosen_and_killed() -> None:
    shown = document.describe(oom(), facts(lost=4, maps_replaced=True))
    table = screen.plain_table(screen.rows(shown))

    assert screen.headline(shown) == (
        "OOM 1 at 1970-01-01T00:00:01.000+00:00: cgroup /kubepods.slice, 390.6 MiB, mode Enforce. "
        "python3 (5) asked for memory"
    )
    assert ["CK", "20", "java"] == table[1].split()[:3]
    assert "1000*" in table[2]
    assert "~2024" in table[2]
    assert screen.ending(shown) == [
        f"chosen: java (20) in {POD}, priority 100",
        f"killed: java (20) in {POD}, priority 100: chosen",
        "took 2.5 ms. 2 tasks, and 3 kernel threads",
        "4 records did not fit into the buffer: tasks are missing above",
        "oompolicy's maps were replaced since this tool started: restart it to see priorities",
    ]


def test_an_oom_that_kills_nothing_says_so() -> None:
    shown = document.describe(oom(chosen=None, signalled=[], looked_at=[]), facts())

    assert ["chosen: no task", "killed: no process"] == [screen.ending(shown)[0], screen.ending(shown)[2]]


def test_a_missing_function_is_named_with_the_consequence() -> None:
    """The tool goes on with less, and says it at the start."""
    sources = [
        Source(each, "this kernel has no such function" if each.name == "oom_badness" else "") for each in PROBES
    ]
    shown = document.started("6.1.0", sources, "unknown", ["a warning"])
    lines = screen.start_lines(shown)

    assert (
        "kprobe oom_badness: not watched: this kernel has no such function. "
        "This tool computes the badness from the task's memory and score" in lines
    )
    assert "raw tracepoint mark_victim: the victims that the kernel marks, also those that are dying already" in lines
    assert "a warning" == lines[-1]


def test_colours_and_markup_come_from_the_tool_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A process whose name looks like markup of rich is printed as it is."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "250")
    looked_at = [record(tgid=20, comm="[red]x[/]", flags=Flag.HAS_BADNESS)]
    screen.Screen().oom(document.describe(oom(looked_at=looked_at), facts()))

    assert "[red]x[/]" in capsys.readouterr().out


def test_cgroups_are_found_by_their_inode(tmp_path: Path) -> None:
    """A cgroup that is made later is found, and one that is gone has no path."""
    tree = tmp_path / "sys/fs/cgroup"
    tree.mkdir(parents=True)
    (tree / "cgroup.controllers").touch()
    cgroups = node.Cgroups(tmp_path)
    later = tree / "kubepods/pod1"
    later.mkdir(parents=True)

    assert ("/", "/kubepods/pod1", "") == tuple(
        cgroups.path(each) for each in (tree.stat().st_ino, later.stat().st_ino, 1 << 60)
    )


def test_the_tool_protects_itself_and_says_if_it_cannot(tmp_path: Path) -> None:
    """It never raises its own value: the runner of a test may have -1000."""
    own = tmp_path / "oom_score_adj"
    own.write_text("1000\n")
    assert "" == node.protect_this_process(own)
    assert "-999" == own.read_text()
    own.write_text("-1000\n")
    assert "" == node.protect_this_process(own)
    assert "-1000\n" == own.read_text()
    assert "cannot lower its oom_score_adj: No such file" in node.protect_this_process(tmp_path / "gone")


def test_a_node_without_btf_gets_one_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(node, "BTF", tmp_path / "vmlinux")
    monkeypatch.setattr(node, "protect_this_process", lambda: "")
    monkeypatch.setattr(signal, "signal", lambda *_: None)

    assert 1 == main.main(["--json"])
    assert "oompolicy-trace: " in capsys.readouterr().err

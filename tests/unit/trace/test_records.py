# SPDX-License-Identifier: Apache-2.0
"""The layout of a record is that of program.c, and one OOM is joined from its records."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import oompolicy_trace
from oompolicy_trace.records import LAYOUT, Flag, Kind, decode
from oompolicy_trace.story import Oom, Reader
from tests.unit.trace.records import record

PROGRAM: Final = (Path(oompolicy_trace.__file__).parent / "program.c").read_text()
SIZES: Final = {"u64": "Q", "s64": "q", "s32": "i", "u32": "I"}


def struct_record() -> str:
    (body,) = re.findall(r"^struct record \{\n(.*?)^\};", PROGRAM, re.MULTILINE | re.DOTALL)
    return re.sub(r"/\*.*?\*/", "", body)


def test_the_layout_is_that_of_the_program() -> None:
    """The fields of `struct record` have the order and the types of the layout, without padding by the compiler."""
    code = ""
    for kind, name in re.findall(r"(\w+) (\w+(?:\[\d+\])?);", struct_record()):
        size = re.search(r"\[(\d+)\]", name)
        code += f"{size[1]}s" if size else "4x" if name == "pad" else SIZES[kind]
    expanded = re.sub(r"(\d+)([Qqi I])", lambda found: found[2] * int(found[1]), LAYOUT.format.removeprefix("<"))

    assert code == expanded
    assert 0 == LAYOUT.size % 8


def test_kinds_and_flags_are_those_of_the_program() -> None:
    (kinds,) = re.findall(r"^enum kind \{\n(.*?)^\};", PROGRAM, re.MULTILINE | re.DOTALL)
    flags = re.findall(r"^\t(\w+) = 1 << (\d+),", PROGRAM, re.MULTILINE)

    assert [each.name for each in Kind] == re.findall(r"\w+", kinds)
    assert {each.name: each.value for each in Flag} == {name: 1 << int(bit) for name, bit in flags}


def test_a_record_has_the_bytes_of_each_field() -> None:
    numbers = (*range(1, 5), -5, 6, -7, 8, 9, 10, -11, 12, 13, 1, 3, 2, 7, -1)
    decoded = decode(LAYOUT.pack(*numbers, b"a\x1b[31m\0rest", b"Out of memory\0junk"))

    assert (1, 4, -5, -7, 9, 10, -11, 13) == (
        *(decoded.time_ns, decoded.priority_cgroup_id, decoded.badness, decoded.points),
        *(decoded.pid, decoded.tgid, decoded.adj, decoded.answer),
    )
    assert (Kind.LOOKED_AT, Flag.HAS_BADNESS | Flag.HAS_ANSWER) == (decoded.kind, decoded.flags)
    assert (2, 7, -1) == (decoded.constraint, decoded.kthreads, decoded.order)
    # A name cannot control the terminal.
    assert ("a?[31m", "Out of memory") == (decoded.comm, decoded.message)


def read(*records: object) -> list[Oom]:
    reader = Reader()
    return [oom for each in records if (oom := reader.read(each))]  # type: ignore[arg-type]


def test_records_of_two_ooms_are_not_mixed() -> None:
    """The end of one OOM may come after the begin of another, because the kernel unlocks in between."""
    first, second = read(
        record(Kind.BEGAN, oom=1, time_ns=100),
        record(Kind.BEGAN, oom=2, time_ns=150),
        record(Kind.LOOKED_AT, oom=2, tgid=22),
        record(Kind.LOOKED_AT, oom=1, tgid=11),
        record(Kind.ENDED, oom=1, time_ns=400),
        record(Kind.ENDED, oom=2, time_ns=500),
    )

    assert ([11], [22]) == tuple([each.tgid for each in oom.looked_at] for oom in (first, second))
    assert (300, 350) == (first.duration_ns, second.duration_ns)


def test_an_oom_without_its_begin_has_no_time() -> None:
    (oom,) = read(record(Kind.ENDED, time_ns=400))

    assert oom.duration_ns is None


def test_each_process_that_got_sigkill_has_a_reason() -> None:
    """The chosen one, the other marked ones (a group), and those that are killed for memory that they share."""
    (oom,) = read(
        record(Kind.CHOSEN, tgid=10),
        record(Kind.SIGNALLED, tgid=10, pid=12),
        record(Kind.MARKED, tgid=10, pid=12),
        record(Kind.SIGNALLED, tgid=30),
        record(Kind.SIGNALLED, tgid=20),
        record(Kind.MARKED, tgid=20),
        record(Kind.SIGNALLED, tgid=10, pid=12),
        record(Kind.ENDED),
    )

    assert {
        10: "chosen",
        30: "shares the memory of another victim",
        20: "killed with its group (memory.oom.group)",
    } == {each.tgid: oom.reason(each) for each in oom.victims}
    assert [10, 30, 20] == [each.tgid for each in oom.victims]
    assert [] == oom.dying


def test_a_marked_task_without_sigkill_was_dying_already() -> None:
    """Before Linux 6.9 the mark has a pid alone, which may be that of a thread."""
    (oom,) = read(
        record(Kind.SIGNALLED, tgid=10, pid=12),
        record(Kind.MARKED, pid=12),
        record(Kind.MARKED, pid=44),
        record(Kind.ENDED),
    )

    assert [44] == [each.pid for each in oom.dying]

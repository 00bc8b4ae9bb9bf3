# SPDX-License-Identifier: Apache-2.0
"""The kernel's log is split into the records that the kernel made, also if users write into them."""

from __future__ import annotations

import pytest

from oompolicy_agent.kernellog.records import KERNEL, split
from tests.unit.agent.kernellog.lines import SUMMARY, TABLE, killed, line


def texts(*lines: bytes) -> list[bytes]:
    return [record.text for record in split(b"\n".join(lines) + b"\n")]


def test_a_record_has_facility_time_and_text() -> None:
    found = split(b"<6>[    0.000042] first\n<30>[ 4711.123456] second\n")

    assert [(KERNEL, 42, b"first"), (3, 4_711_123_456, b"second")] == [record[:3] for record in found]


def test_the_caller_is_no_part_of_the_text() -> None:
    """CONFIG_PRINTK_CALLER adds the thread or the processor."""
    assert [b"one", b"[drm] two"] == texts(b"<6>[    1.000000][  T123] one", b"<6>[    1.000001][    C0] [drm] two")


def test_a_log_without_times_has_no_records() -> None:
    assert [] == split(b"<6>Linux version 6.12\n<5>random: crng init done\n")


def test_lines_with_the_same_beginning_are_one_record() -> None:
    """So the kernel prints a line break in a record."""
    assert [b"one\ntwo", b"three"] == texts(line(6, 1, b"one"), line(6, 1, b"two"), line(4, 1, b"three"))


@pytest.mark.parametrize("first", [*TABLE, SUMMARY, killed(7), killed(7, b"a\nb")])
def test_a_record_behind_a_line_about_an_oom_begins_anew(first: bytes) -> None:
    """The clock of some machines moves with the timer, so many records have the same time."""
    lines = [line(3, 1, each) for each in first.split(b"\n")]

    assert [first, killed(8)] == texts(*lines, line(3, 1, killed(8)))


@pytest.mark.parametrize(
    "first",
    [
        b"overlayfs: failed to resolve 'x",
        b"hog[12]: segfault at 0 ip 0 sp 0 error 4 in x",
        b"Memory cgroup out of memory: Killed process 1 (a",
        b"a 1\nb[12]: segfault at 0 ip 0 sp 0 error 4 in x",
    ],
)
def test_a_line_in_a_name_that_a_user_chose_is_no_record(first: bytes) -> None:
    """The name of a file can have 255 bytes with line breaks, and all lines of a kill and its table."""
    forged = [*first.split(b"\n"), *TABLE, SUMMARY, killed(7)]
    found = texts(*[line(3, 1, each) for each in forged])

    assert not {SUMMARY, killed(7)} & set(found)

# SPDX-License-Identifier: Apache-2.0
"""Split the text of syslog(2) into the kernel's records. Pure.

A record can have several lines, because names of processes and files can have line breaks. The kernel begins each line
of a record with the same priority and time: record_print_text() in kernel/printk/printk.c. The first line of the next
record can have both in common with it too, because some clocks only move with the timer.

Users write such names. A line of a forged kill must not count as a record of its own. So after a line with the same
beginning, a record ends only if all of its text is one of the kernel's lines about an OOM. In these lines, users write
at most the name of a process, which has 15 bytes, or the path of a cgroup, which has no line breaks. Any other record
takes all lines with the same beginning.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

KERNEL: Final = 0
"""The facility of the kernel's own records. A record that a process wrote to /dev/kmsg never has it."""

COMM: Final = rb"[^\0]{0,15}"
"""The name of a process."""

_LINE: Final = re.compile(rb"<(\d+)>\[ *(\d+)\.(\d{6})\](?:\[[^]\n]*\])? ([^\n]*)")
"""The time is missing with printk.time=0. The second brackets have the caller, with CONFIG_PRINTK_CALLER."""

_COMPLETE: Final = re.compile(
    b"|".join(
        (
            # dump_tasks() in mm/oom_kill.c.
            rb"Tasks state \(memory values in pages\):",
            rb"\[  pid  \][a-z_ ]+",
            rb"\[ *\d+\] +\d+ +\d+[ \d-]+ " + COMM,
            # dump_unreclaimable_slab() in mm/slab_common.c.
            rb"Unreclaimable slab info:",
            rb"Name +Used +Total",
            rb"\S+ +\d+KB +\d+KB",
            # mem_cgroup_print_oom_meminfo() in mm/memcontrol.c. The lines about a limit have the path of its cgroup.
            rb"(?:memory|swap|kmem|memory\+swap): usage [^\n]+",
            rb"Memory cgroup stats for [^\n]+",
            rb"[a-z0-9_]+ \d+",
            # dump_header(), dump_oom_summary() and __oom_kill_process() in mm/oom_kill.c.
            COMM + rb" invoked oom-killer: [^\n]+",
            rb"oom-kill:constraint=[^\n]+,task=" + COMM + rb",pid=\d+,uid=\d+",
            rb"[^\n:]*[Oo]ut of memory[^\n:]*: Killed process \d+ \(" + COMM + rb"\) total-vm:[^\n]+",
            rb"Tasks in [^\n]+ are going to be killed due to memory\.oom\.group set",
        )
    )
)


class Record(NamedTuple):
    """One record. `time_us` are the microseconds of the log's own clock. `raw` are its lines as they were read."""

    facility: int
    time_us: int
    text: bytes
    raw: bytes


def split(log: bytes) -> list[Record]:
    """Return the records of the log, the oldest first. Lines without a priority and a time are left out."""
    found: list[Record] = []
    for line in _lines(log):
        last = found[-1] if found else None
        if last and _begin(last.raw) == _begin(line.raw) and not _COMPLETE.fullmatch(last.text):
            found[-1] = last._replace(text=last.text + b"\n" + line.text, raw=last.raw + b"\n" + line.raw)
        else:
            found.append(line)
    return found


def _lines(log: bytes) -> Iterator[Record]:
    for line in log.split(b"\n"):
        if match := _LINE.fullmatch(line):
            facility, seconds, micros = int(match[1]) >> 3, int(match[2]), int(match[3])
            yield Record(facility, seconds * 1_000_000 + micros, match[4], line)


def _begin(raw: bytes) -> bytes:
    return raw[: raw.index(b"] ")]

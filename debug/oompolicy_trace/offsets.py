# SPDX-License-Identifier: Apache-2.0
"""The macros of program.c: where this kernel keeps what the program reads. Pure, from the kernel's BTF."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from oompolicy_trace.btf import Kind

if TYPE_CHECKING:
    from oompolicy_trace.btf import Btf

FIELDS: Final = {
    "OC_MEMCG": ("oom_control", "memcg"),
    "OC_TOTALPAGES": ("oom_control", "totalpages"),
    "OC_CHOSEN": ("oom_control", "chosen"),
    "OC_CHOSEN_POINTS": ("oom_control", "chosen_points"),
    "OC_CONSTRAINT": ("oom_control", "constraint"),
    "OC_ORDER": ("oom_control", "order"),
    "MEMCG_CSS": ("mem_cgroup", "css"),
    "CSS_CGROUP": ("cgroup_subsys_state", "cgroup"),
    "CSS_PARENT": ("cgroup_subsys_state", "parent"),
    "CGROUP_KN": ("cgroup", "kn"),
    "CGROUP_SELF": ("cgroup", "self"),
    "KERNFS_NODE_ID": ("kernfs_node", "id"),
    "CSS_SET_DFL_CGRP": ("css_set", "dfl_cgrp"),
    "TASK_PID": ("task_struct", "pid"),
    "TASK_TGID": ("task_struct", "tgid"),
    "TASK_COMM": ("task_struct", "comm"),
    "TASK_FLAGS": ("task_struct", "flags"),
    "TASK_SIGNAL": ("task_struct", "signal"),
    "TASK_MM": ("task_struct", "mm"),
    "TASK_CGROUPS": ("task_struct", "cgroups"),
    "SIGNAL_OOM_SCORE_ADJ": ("signal_struct", "oom_score_adj"),
    "MM_PGTABLES_BYTES": ("mm_struct", "pgtables_bytes"),
}
"""The macros, with the struct and the field of each."""

COUNTERS: Final = 4
"""File pages, anonymous pages, swap entries and shared pages: badness is the sum of all four."""


def macros(btf: Btf) -> dict[str, str]:
    """Return the macros for this kernel.

    Raises:
        BtfError: The kernel has no such struct or field.
    """
    numbers = {macro: btf.place(*path).offset for macro, path in FIELDS.items()} | counters(btf)
    return {name: str(number) for name, number in numbers.items()} | mark_victim(btf)


def counters(btf: Btf) -> dict[str, int]:
    """Return the place of the counters of memory: an array of per-CPU counters since Linux 6.2, and of numbers before.

    Only the part of a per-CPU counter that all CPUs share is read, as oom_badness() did before Linux 7.
    """
    stat = btf.place("mm_struct", "rss_stat")
    if btf.kind(btf.plain(stat.type_id)) is Kind.ARRAY:
        element, _ = btf.array(stat.type_id)
        start, stride = stat.offset + btf.place("percpu_counter", "count").offset, btf.size(element)
    else:
        start, stride = btf.place("mm_struct", "rss_stat", "count").offset, 8
    return {"MM_RSS": start, "MM_RSS_STRIDE": stride, "MM_COUNTERS": COUNTERS}


def mark_victim(btf: Btf) -> dict[str, str]:
    """Return the macro for a tracepoint with the task as its argument, which it has since Linux 6.9."""
    # The first parameter belongs to the tracepoint.
    first = btf.parameters("btf_trace_mark_victim")[1]
    return {"MARK_VICTIM_HAS_TASK": "1"} if btf.kind(btf.plain(first)) is Kind.PTR else {}

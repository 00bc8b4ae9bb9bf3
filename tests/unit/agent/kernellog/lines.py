# SPDX-License-Identifier: Apache-2.0
"""Lines of the kernel's log, as the kernels of the files `linux-*.log` print them."""

from __future__ import annotations

from typing import Final

BURSTABLE: Final = "/kubepods.slice/kubepods-burstable.slice"
POD: Final = f"{BURSTABLE}/kubepods-burstable-pod0f1e2d3c_4b5a_6978_8796_a5b4c3d2e1f0.slice"

TABLE: Final = (
    b"memory: usage 65536kB, limit 65536kB, failcnt 117",
    b"Memory cgroup stats for /kubepods.slice:",
    b"pgscan_kswapd 0",
    b"Unreclaimable slab info:",
    b"Name                      Used          Total",
    b"kmalloc-8k                384KB        384KB",
    b"Tasks state (memory values in pages):",
    b"[  pid  ]   uid  tgid total_vm      rss rss_anon rss_file rss_shmem pgtables_bytes swapents oom_score_adj name",
    b"[    192]     0   192     9005     8923     8704      219         0   106496        0           500 java",
    b"[  pid  ]   uid  tgid total_vm      rss pgtables_bytes swapents oom_score_adj name",
    b"[    132] 65534   132     4559     4555    69632        0         -1000 a b",
)
"""The lines that come right before the summary."""
SUMMARY: Final = (
    b"oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0,oom_memcg=/a,task_memcg=/a/b,"
    b"task=hog,pid=7,uid=0"
)


def line(level: int, micros: int, text: bytes) -> bytes:
    """Return one line of syslog(2)."""
    return b"<%d>[%5d.%06d] %s" % (level, micros // 1_000_000, micros % 1_000_000, text)


def killed(pid: int, comm: bytes = b"hog", *, memcg: bool = True) -> bytes:
    """Return the text of the line about a kill."""
    what = b"Memory cgroup out of memory" if memcg else b"Out of memory"
    sizes = b"total-vm:5300kB, anon-rss:4096kB, file-rss:876kB, shmem-rss:0kB, UID:1000 pgtables:44kB oom_score_adj:-5"
    return b"%s: Killed process %d (%s) %s" % (what, pid, comm, sizes)


def summary(pid: int, comm: bytes = b"hog", path: str = "/a/b", scope: str | None = "/a") -> bytes:
    """Return the text of the line that describes an OOM. `scope` is None for the node."""
    limit = b"CONSTRAINT_NONE" if scope is None else b"CONSTRAINT_MEMCG"
    where = b",global_oom" if scope is None else b",oom_memcg=%s" % scope.encode()
    begin = b"oom-kill:constraint=%s,nodemask=(null),cpuset=x,mems_allowed=0%s,task_memcg=%s" % (
        limit,
        where,
        path.encode(),
    )
    return begin + b",task=%s,pid=%d,uid=1000" % (comm, pid)
